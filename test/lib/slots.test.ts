import fc from 'fast-check';
import t from 'tap';
import { createSlots } from '../../src/lib/slots.ts';

/** Promises that are resolved have told so after this. */
const told = () => Promise.resolve();

t.test('what fits goes on at once', async (t) => {
  const slots = createSlots(3, 100);
  await slots.acquire(1, 50);
  await slots.acquire(2, 50);
  t.equal(slots.used, 3);
});

t.test('what does not fit waits until it does, for places or for weight', async (t) => {
  for (const [count, weight] of [
    [2, 1],
    [1, 60],
  ] as const) {
    const slots = createSlots(2, 100);
    await slots.acquire(1, 50);
    let gone = false;
    void slots.acquire(count, weight).then(() => {
      gone = true;
    });
    await told();
    t.notOk(gone);
    slots.release(1, 50);
    await told();
    t.ok(gone);
    t.equal(slots.used, count);
  }
});

t.test('something larger than the bounds is let through alone', async (t) => {
  const slots = createSlots(2, 100);
  const order: string[] = [];
  await slots.acquire(1, 1);
  void slots.acquire(1, 1000).then(() => order.push('heavy'));
  void slots.acquire(5, 1).then(() => order.push('many'));
  void slots.acquire(1, 1).then(() => order.push('small'));
  await told();
  t.strictSame(order, [], 'not beside another');
  slots.release(1, 1);
  await told();
  t.strictSame(order, ['heavy']);
  slots.release(1, 1000);
  await told();
  t.strictSame(order, ['heavy', 'many']);
  slots.release(5, 1);
  await told();
  t.strictSame(order, ['heavy', 'many', 'small']);
});

t.test('the small do not overtake the large, so that the large are not starved', async (t) => {
  const slots = createSlots(4, 100);
  await slots.acquire(3, 1);
  const order: string[] = [];
  void slots.acquire(4, 1).then(() => order.push('large'));
  void slots.acquire(1, 1).then(() => order.push('small'));
  await told();
  t.strictSame(order, [], 'a place is free, but it is not the turn of the small one');
  slots.release(3, 1);
  await told();
  t.strictSame(order, ['large']);
});

interface Holder {
  readonly id: number;
  count: number;
  weight: number;
}

type Step =
  | { readonly do: 'acquire'; readonly count: number; readonly weight: number }
  | { readonly do: 'release'; readonly which: number; readonly part: number };

const step: fc.Arbitrary<Step> = fc.oneof(
  fc.record({
    do: fc.constant('acquire'),
    count: fc.integer({ min: 1, max: 7 }),
    weight: fc.nat(14),
  }),
  fc.record({ do: fc.constant('release'), which: fc.nat(), part: fc.integer({ min: 1, max: 7 }) }),
);

t.test('whatever is asked for and let go, its laws hold', async (t) => {
  const seen = { waited: 0, oversized: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 6 }),
      fc.integer({ min: 1, max: 12 }),
      fc.array(step, { maxLength: 60 }),
      async (maxCount, maxWeight, steps) => {
        const slots = createSlots(maxCount, maxWeight);
        const asked: Holder[] = [];
        const granted: number[] = [];
        const holding = () =>
          granted.map((id) => asked[id] as Holder).filter(({ count }) => count > 0);
        const sum = (of: 'count' | 'weight') => holding().reduce((all, one) => all + one[of], 0);
        const claim = (what: string, holds: boolean) => {
          if (!holds) throw new Error(`broken: ${what}`);
        };

        const release = (holder: Holder, part: number) => {
          const count = Math.min(part, holder.count);
          // As the deliverer does: the weight goes with the last place.
          const weight = count === holder.count ? holder.weight : 0;
          holder.count -= count;
          holder.weight -= weight;
          slots.release(count, weight);
        };

        const check = async () => {
          await told();
          claim(
            'they go in the order they asked',
            granted.every((id, index) => id === index),
          );
          claim('what is used is what is held', slots.used === sum('count'));
          const within = sum('count') <= maxCount && sum('weight') <= maxWeight;
          claim('the bounds hold, but for one alone', within || holding().length === 1);
          if (!within) seen.oversized += 1;
          const next = asked[granted.length];
          if (next === undefined) return;
          seen.waited += 1;
          claim(
            'none waits that would fit',
            sum('count') > 0 &&
              (sum('count') + next.count > maxCount || sum('weight') + next.weight > maxWeight),
          );
        };

        for (const step of steps) {
          if (step.do === 'acquire') {
            const holder = { id: asked.length, count: step.count, weight: step.weight };
            asked.push(holder);
            void slots.acquire(step.count, step.weight).then(() => granted.push(holder.id));
          } else {
            const held = holding();
            const holder = held[step.which % held.length];
            if (holder !== undefined) release(holder, step.part);
          }
          await check();
        }
        for (let [holder] = holding(); holder !== undefined; [holder] = holding()) {
          release(holder, holder.count);
          await check();
        }
        claim('all have had their turn', granted.length === asked.length);
        claim('nothing is used in the end', slots.used === 0);
      },
    ),
    { numRuns: 500 },
  );
  for (const [what, times] of Object.entries(seen)) t.ok(times > 10, `${what}: ${times} were seen`);
});

t.test('those that let others go first wait until no other does', async (t) => {
  const slots = createSlots(1, 100);
  await slots.acquire(1, 1);
  const order: string[] = [];
  void slots.acquire(1, 1, true).then(() => order.push('last'));
  void slots.acquire(1, 1).then(() => order.push('first'));
  void slots.acquire(1, 1).then(() => order.push('second'));
  t.equal(slots.waiting, 3);
  for (const expected of [['first'], ['first', 'second'], ['first', 'second', 'last']]) {
    slots.release(1, 1);
    await told();
    t.strictSame(order, expected);
  }
});
