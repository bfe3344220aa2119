import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import {
  createGroupCommit,
  type GroupCommitOptions,
  TooManyWaitingError,
} from '../../src/lib/group-commit.ts';

interface Item {
  readonly n: number;
  readonly weight: number;
}

/** A group that was handed to `run` and has not ended. */
interface Running {
  readonly items: Item[];
  succeed(): void;
  fail(reason: Error): void;
}

type Limits = Omit<GroupCommitOptions<Item, number>, 'run' | 'weigh'>;

/** A group commit whose groups end when the test says so, and which notes what was handed to them. */
function createWatched(limits: Limits) {
  const running: Running[] = [];
  const left: Item[][] = [];
  const groups = createGroupCommit<Item, number>({
    ...limits,
    weigh: ({ weight }) => weight,
    run: (items) => {
      left.push(items);
      const { promise, resolve, reject } = Promise.withResolvers<number[]>();
      const group = {
        items,
        succeed: () => end(() => resolve(items.map(({ n }) => n * 10))),
        fail: (reason: Error) => end(() => reject(reason)),
      };
      const end = (settle: () => void) => {
        running.splice(running.indexOf(group), 1);
        settle();
      };
      running.push(group);
      return promise;
    },
  });
  /** Gives every group that may leave the time to do so. */
  const settle = async () => {
    for (let n = 0; n <= limits.concurrency; n++) await turn();
  };
  return { groups, running, left, settle };
}

/** What became of a promise, without waiting for it. */
function watch<T>(promise: Promise<T>) {
  const seen: { value?: T; reason?: unknown; settled: boolean } = { settled: false };
  promise.then(
    (value) => Object.assign(seen, { value, settled: true }),
    (reason: unknown) => Object.assign(seen, { reason, settled: true }),
  );
  return seen;
}

const unlimited: Limits = { concurrency: 1, maxItems: 1000 };
const item = (n: number, weight = 1): Item => ({ n, weight });
const ns = (groups: Item[][]) => groups.map((items) => items.map(({ n }) => n));

t.test('items of the same turn of the event loop share a group', async (t) => {
  const { groups, left, running } = createWatched(unlimited);
  const added = [1, 2, 3].map((n) => groups.add(item(n)));
  await turn();
  t.strictSame(ns(left), [[1, 2, 3]]);
  running[0]?.succeed();
  t.strictSame(await Promise.all(added), [10, 20, 30]);
});

t.test('a single item does not wait for others', async (t) => {
  const { groups, left } = createWatched({ ...unlimited, concurrency: 2 });
  void groups.add(item(1));
  await turn();
  void groups.add(item(2));
  await turn();
  t.strictSame(ns(left), [[1], [2]]);
});

t.test('items that nobody waits for gather for a time, unless urgent or many', async (t) => {
  const limits = { ...unlimited, concurrency: 2, maxItems: 3 };
  const slow = createWatched({ ...limits, gatherMs: 60_000 });
  void slow.groups.add(item(1));
  await slow.settle();
  t.strictSame(ns(slow.left), [], 'one waits');
  void slow.groups.add(item(2), true);
  await slow.settle();
  t.strictSame(ns(slow.left), [[1, 2]], 'an urgent one takes it along');
  for (const n of [3, 4, 5]) void slow.groups.add(item(n));
  await slow.settle();
  t.strictSame(
    ns(slow.left),
    [
      [1, 2],
      [3, 4, 5],
    ],
    'and so many are a group',
  );
  void slow.groups.add(item(6), true);
  await slow.settle();
  slow.running[0]?.succeed();
  await slow.settle();
  t.strictSame(
    ns(slow.left),
    [[1, 2], [3, 4, 5], [6]],
    'urgent it is still, once a group may leave',
  );

  const quick = createWatched({ ...limits, gatherMs: 1 });
  const added = quick.groups.add(item(1));
  while (quick.left.length === 0) await turn();
  quick.running[0]?.succeed();
  t.equal(await added, 10, 'the time runs out by itself');
});

t.test('a group waits for a running group of several items, but not for long', async (t) => {
  const add = (groups: ReturnType<typeof createWatched>['groups'], ...numbers: number[]) => {
    for (const n of numbers) void groups.add(item(n));
  };
  const { groups, left, running, settle } = createWatched({
    concurrency: 2,
    maxItems: 4,
    besideMs: 60_000,
  });
  add(groups, 1, 2, 3);
  await settle();
  for (const n of [4, 5, 6]) {
    add(groups, n);
    await settle();
  }
  t.strictSame(ns(left), [[1, 2, 3]], 'those that come meanwhile wait');
  running[0]?.succeed();
  await settle();
  t.strictSame(ns(left).slice(1), [[4, 5, 6]], 'and go when it has ended');
  add(groups, 7, 8, 9, 10);
  await settle();
  t.strictSame(ns(left).slice(2), [[7, 8, 9, 10]], 'a full group does not wait');

  const quick = createWatched({ ...unlimited, concurrency: 2, besideMs: 1 });
  add(quick.groups, 1, 2, 3);
  await quick.settle();
  add(quick.groups, 4);
  while (quick.left.length < 2) await turn();
  t.strictSame(ns(quick.left), [[1, 2, 3], [4]], 'nor does any for one that takes long');

  const calm = createWatched({ ...unlimited, concurrency: 2, besideMs: 60_000 });
  add(calm.groups, 1, 2);
  await calm.settle();
  add(calm.groups, 3);
  await calm.settle();
  t.strictSame(ns(calm.left), [[1, 2], [3]], 'nor beside a group of one or two items');
});

t.test('items that arrive while all groups are running join the next group', async (t) => {
  const { groups, left, running, settle } = createWatched(unlimited);
  void groups.add(item(1));
  await settle();
  for (const n of [2, 3, 4]) {
    void groups.add(item(n));
    await settle();
  }
  t.strictSame(ns(left), [[1]]);
  running[0]?.succeed();
  await settle();
  t.strictSame(ns(left), [[1], [2, 3, 4]]);
});

t.test('an error concerns only its group, and the next group runs', async (t) => {
  const { groups, running, settle } = createWatched({ ...unlimited, maxItems: 2 });
  const added = [1, 2, 3].map((n) => groups.add(item(n)));
  const reason = new Error('the database is gone');
  const ended = Promise.allSettled(added);
  await settle();
  running[0]?.fail(reason);
  await settle();
  running[0]?.succeed();
  t.match(await ended, [
    { status: 'rejected', reason },
    { status: 'rejected', reason },
    { status: 'fulfilled', value: 30 },
  ]);
});

t.test('work that throws at once is an error like any other', async (t) => {
  const reason = new Error('not even begun');
  const groups = createGroupCommit<number, number>({
    concurrency: 1,
    maxItems: 10,
    run: () => {
      throw reason;
    },
  });
  await t.rejects(groups.add(1), reason);
  await t.rejects(groups.add(2), reason, 'and does not end the group commit');
});

t.test('a full queue refuses at once, and accepts again when there is room', async (t) => {
  const { groups, running, settle } = createWatched({
    ...unlimited,
    maxWaiting: 2,
    maxWaitingWeight: 10,
  });
  void groups.add(item(0));
  await settle();
  void groups.add(item(1, 50));
  await t.rejects(groups.add(item(2)), TooManyWaitingError, 'one that weighs too much waits alone');
  running[0]?.succeed();
  await settle();
  void groups.add(item(3, 4));
  await t.rejects(groups.add(item(4, 7)), TooManyWaitingError, '4 and 7 are more than 10');
  void groups.add(item(5, 6));
  await t.rejects(groups.add(item(6, 0)), TooManyWaitingError, 'two are waiting');
  running[0]?.succeed();
  await settle();
  t.doesNotThrow(() => void groups.add(item(7)));
});

t.test('idle means that nothing waits and nothing runs', async (t) => {
  const { groups, running, settle } = createWatched({ ...unlimited, maxItems: 1 });
  t.ok((await groups.idle()) === undefined, 'at the beginning it is idle');
  const ended = Promise.allSettled([groups.add(item(1)), groups.add(item(2))]);
  const idle = [watch(groups.idle()), watch(groups.idle())];
  await settle();
  t.notOk(idle.some(({ settled }) => settled));
  running[0]?.fail(new Error('an error ends a group too'));
  await settle();
  t.notOk(
    idle.some(({ settled }) => settled),
    'the second waited meanwhile',
  );
  running[0]?.succeed();
  await ended;
  await settle();
  t.ok(idle.every(({ settled }) => settled));
});

type Step =
  | { readonly do: 'add'; readonly weight: number }
  | { readonly do: 'end'; readonly which: number; readonly fails: boolean }
  | { readonly do: 'wait' };

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant('add'), weight: fc.nat(12) }) },
  {
    weight: 2,
    arbitrary: fc.record({ do: fc.constant('end'), which: fc.nat(), fails: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('wait') }) },
);

const limits = fc.record({
  concurrency: fc.integer({ min: 1, max: 3 }),
  maxItems: fc.integer({ min: 1, max: 5 }),
  maxWeight: fc.constantFrom(5, 10, Number.POSITIVE_INFINITY),
  maxWaiting: fc.constantFrom(3, 10, Number.POSITIVE_INFINITY),
  maxWaitingWeight: fc.constantFrom(8, 30, Number.POSITIVE_INFINITY),
});

const weigh = (items: Item[]) => items.reduce((sum, { weight }) => sum + weight, 0);

t.test('its laws hold for any sequence of items', async (t) => {
  const seen = { groups: 0, shared: 0, refused: 0, failed: 0 };
  await fc.assert(
    fc.asyncProperty(limits, fc.array(step, { maxLength: 60 }), async (limits, steps) => {
      const { groups, running, left, settle } = createWatched(limits);
      const accepted: Item[] = [];
      const promises = new Map<number, ReturnType<typeof watch<number>>>();
      const reasons = new Map<number, Error>();
      let checked = 0;
      const waiting = () => accepted.slice(left.flat().length);
      const claim = (what: string, holds: boolean) => {
        if (!holds) throw new Error(`broken: ${what}`);
      };

      const check = () => {
        claim('at most `concurrency` groups run', running.length <= limits.concurrency);
        for (; checked < left.length; checked++) {
          const group = left[checked] as Item[];
          claim('a group is not empty', group.length > 0);
          claim('a group has at most maxItems', group.length <= limits.maxItems);
          claim(
            'a group weighs at most maxWeight, or is a single item',
            group.length === 1 || weigh(group) <= limits.maxWeight,
          );
        }
        claim(
          'items leave in the order they came, each once',
          left.flat().every((one, index) => one === accepted[index]),
        );
      };

      const add = (weight: number) => {
        const before = waiting();
        const one = item(promises.size, weight);
        const refuses =
          before.length >= limits.maxWaiting ||
          (before.length > 0 && weigh(before) + weight > limits.maxWaitingWeight);
        promises.set(one.n, watch(groups.add(one)));
        if (!refuses) accepted.push(one);
        else seen.refused += 1;
      };

      const end = (which: number, fails: boolean) => {
        const group = running[which % running.length];
        if (group === undefined) return;
        if (!fails) return group.succeed();
        const reason = new Error(`group ${left.indexOf(group.items)}`);
        for (const { n } of group.items) reasons.set(n, reason);
        group.fail(reason);
        seen.failed += 1;
      };

      for (const step of steps) {
        if (step.do === 'add') add(step.weight);
        else if (step.do === 'end') end(step.which, step.fails);
        else {
          await settle();
          claim(
            'none waits while a group may run',
            waiting().length === 0 || running.length === limits.concurrency,
          );
        }
        check();
      }

      const idle = watch(groups.idle());
      await settle();
      claim('it is idle if nothing runs', idle.settled === (running.length === 0));
      while (running.length > 0) {
        end(0, false);
        await settle();
        check();
        claim('it is idle when nothing runs', idle.settled === (running.length === 0));
      }
      claim('none is left behind', waiting().length === 0);
      const came = new Set(accepted.map(({ n }) => n));
      for (const [n, { settled, value, reason }] of promises) {
        claim('each promise is settled', settled);
        if (!came.has(n)) claim('a refusal is told', reason instanceof TooManyWaitingError);
        else if (reasons.has(n)) claim("an error is its group's", reason === reasons.get(n));
        else claim('each gets its own result', value === n * 10);
      }
      seen.groups += left.length;
      seen.shared += left.filter((group) => group.length > 1).length;
    }),
    { numRuns: 300 },
  );
  for (const [what, times] of Object.entries(seen)) t.ok(times > 10, `${what}: ${times} were seen`);
});

t.test('a group takes all waiting items, up to its limits', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.nat(12), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 20 }),
      async (weights, maxItems, maxWeight) => {
        const watched = createWatched({ concurrency: 1, maxItems, maxWeight });
        const items = weights.map((weight, n) => item(n, weight));
        for (const one of items) void watched.groups.add(one);
        await watched.settle();
        while (watched.running.length > 0) {
          watched.running[0]?.succeed();
          await watched.settle();
        }
        let begin = 0;
        for (const group of watched.left) {
          begin += group.length;
          const next = items[begin];
          const more = next === undefined ? group : [...group, next];
          if (more !== group && group.length < maxItems && weigh(more) <= maxWeight) return false;
        }
        return begin === items.length;
      },
    ),
  );
});
