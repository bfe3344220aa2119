import fc from 'fast-check';
import t from 'tap';
import { FairQueue } from '../../src/lib/fair-queue.ts';

interface Item {
  readonly owner: string;
  readonly n: number;
  readonly weight: number;
}

const item = (owner: string, n: number, weight = 1): Item => ({ owner, n, weight });

t.test("an owner's only item is in the next group, whatever others have waiting", async (t) => {
  const queue = new FairQueue<string, Item>({ maxItems: 10_000, maxWeight: 10_000 }, true);
  for (let n = 0; n < 5_000; n++) queue.push('greedy', item('greedy', n));
  queue.push('modest', item('modest', 0));
  t.strictSame(
    queue.take(3, 100, false).map(({ owner, n }) => `${owner} ${n}`),
    ['greedy 0', 'modest 0', 'greedy 1'],
  );
});

t.test('owners that want everything leave room for the next owner', async (t) => {
  for (const weight of [1, 100]) {
    const queue = new FairQueue<string, Item>({ maxItems: 1_000, maxWeight: 50_000 }, true);
    for (const owner of ['first', 'second', 'third']) {
      let admitted = 0;
      while (admitted < 2_000 && queue.push(owner, item(owner, admitted, weight))) admitted += 1;
      t.ok(admitted >= 5, `${owner}: ${admitted} of weight ${weight}`);
    }
  }
});

const step = fc.oneof(
  fc.record({
    owner: fc.constantFrom('a', 'b', 'c'),
    weight: fc.integer({ min: 0, max: 9 }),
  }),
  fc.record({
    take: fc.integer({ min: 1, max: 6 }),
    maxWeight: fc.constantFrom(1, 10, Number.POSITIVE_INFINITY),
    alone: fc.boolean(),
  }),
);

t.test('its laws hold for any sequence of items', async () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), fc.boolean(), (steps, shared) => {
      const limits = { maxItems: 20, maxWeight: 60 };
      const queue = new FairQueue<string, Item>(limits, shared);
      const inside: Item[] = [];
      const weightOf = (items: Item[]) => items.reduce((sum, { weight }) => sum + weight, 0);
      const claim = (what: string, holds: boolean) => {
        if (!holds) throw new Error(`broken: ${what}`);
      };
      let n = 0;
      for (const given of steps) {
        if ('owner' in given) {
          const pushed = item(given.owner, n++, given.weight);
          const others = inside.filter(({ owner }) => owner !== given.owner);
          if (queue.push(given.owner, pushed)) inside.push(pushed);
          else
            claim(
              'refused only where there is little room, or its owner has most of it',
              inside.length >= limits.maxItems ||
                weightOf(inside) + given.weight > limits.maxWeight ||
                (shared && inside.length - others.length > 0),
            );
        } else {
          const owners = new Set(inside.map(({ owner }) => owner));
          const taken = queue.take(given.take, given.maxWeight, given.alone);
          claim(
            'something is taken where there is something',
            taken.length > 0 || inside.length === 0,
          );
          claim('at most as many', taken.length <= given.take);
          claim('at most as heavy', taken.length <= 1 || weightOf(taken) <= given.maxWeight);
          const takenOwners = taken.map(({ owner }) => owner);
          claim('of one owner', !given.alone || new Set(takenOwners).size <= 1);
          if (!given.alone && given.maxWeight === Number.POSITIVE_INFINITY)
            claim(
              'of as many owners as there are places',
              new Set(takenOwners).size === Math.min(owners.size, given.take),
            );
          for (const owner of owners) {
            const first = inside.filter((one) => one.owner === owner);
            const own = taken.filter((one) => one.owner === owner);
            claim(
              'in the order of each owner',
              own.every((one, index) => one === first[index]),
            );
          }
          for (const one of taken) inside.splice(inside.indexOf(one), 1);
        }
        claim('it counts', queue.size === inside.length && queue.weight === weightOf(inside));
      }
    }),
  );
});
