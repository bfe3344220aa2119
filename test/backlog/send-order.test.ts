import fc from 'fast-check';
import t from 'tap';
import { createSendOrder, type HeldPage, type SendOrder } from '../../src/backlog/send-order.ts';

const BOUNDS = { keys: 4, blockedKeys: 3, queued: 8, queuedOfKey: 3 };
/** So many ids later, at the latest, is committed what has an id. */
const LATE = 3;
const idOf = (n: number) => String(n).padStart(6, '0');

interface Row {
  readonly webhookId: string;
  readonly key: number;
  readonly dueAt: number;
}

const pageOf = (rows: readonly Row[], settledTo = ''): HeldPage => ({
  settledTo,
  length: rows.length,
  webhookIdOf: (at) => (rows[at] as Row).webhookId,
  keyOf: (at) => (rows[at] as Row).key,
  dueAtOf: (at) => (rows[at] as Row).dueAt,
});

/** What is held, as the database has it. */
interface Held {
  readonly key: number;
  dueAt: number;
  /** How many had an id when it was committed; undefined: it is not yet. */
  committedAt: number | undefined;
}

/** A page as it was read; `take` gives it to the line, later. */
interface Read {
  readonly take: () => number;
}

/** Begins a read of one of the kinds that there are, as reader.ts does. */
function beginRead(
  line: SendOrder,
  held: ReadonlyMap<string, Held>,
  size: number,
  latest: number,
  now: () => number,
  sweeps: boolean,
): Read {
  const { after } = line.beginRead(sweeps ? 'sweep' : line.wantsFill ? 'fill' : 'ahead');
  const rows = [...held]
    .filter(([id, { committedAt }]) => id > (after ?? '') && committedAt !== undefined)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, size)
    .map(([webhookId, { key, dueAt }]) => ({ webhookId, key, dueAt }));
  const page = pageOf(rows, idOf(Math.max(0, latest - LATE)));
  return { take: () => line.take(page, rows.length === size, now()) };
}

const page = fc.integer({ min: LATE + 1, max: LATE + 6 });
const few = fc.integer({ min: 0, max: 2 });
const step = fc.oneof(
  {
    arbitrary: fc.record({
      arrives: fc.oneof(few, few, fc.integer({ min: 0, max: 9 })),
      count: fc.integer({ min: 1, max: 5 }),
      late: fc.boolean(),
    }),
    weight: 2,
  },
  { arbitrary: fc.record({ reads: page, sweeps: fc.boolean(), takes: fc.boolean() }), weight: 4 },
  { arbitrary: fc.constant({ takes: true as const }), weight: 1 },
  { arbitrary: fc.record({ next: fc.integer({ min: 1, max: 4 }) }), weight: 3 },
  {
    arbitrary: fc.record({ settles: fc.nat(), retryInMs: fc.constantFrom(null, null, 0, 2, 5) }),
    weight: 4,
  },
  { arbitrary: fc.record({ passes: fc.integer({ min: 1, max: 5 }) }), weight: 1 },
  { arbitrary: fc.record({ cancels: fc.nat() }), weight: 1 },
);

t.test(
  'one delivery of a key is in flight at a time, oldest first, and none is forgotten',
  async () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 200, size: 'max' }), (steps) => {
        const line = createSendOrder(true, BOUNDS);
        const held = new Map<string, Held>();
        const underWay = new Map<number, string>();
        let reading: Read | undefined;
        let now = 0;
        let count = 0;

        const next = (most: number) => {
          for (const id of line.next(most, now)) {
            const one = held.get(id);
            // What has ended meanwhile is found out by loading it.
            if (one === undefined) {
              line.settled(id, null);
              continue;
            }
            // What was committed before this one had an id was accepted before it.
            const older = [...held].filter(
              ([other, { key, committedAt }]) =>
                key === one.key &&
                other < id &&
                committedAt !== undefined &&
                committedAt < Number(id),
            );
            if (older.length > 0) throw new Error(`${id} before ${older}`);
            if (one.dueAt > now) throw new Error(`${id} is not due`);
            if (underWay.has(one.key)) throw new Error(`${id} beside ${underWay.get(one.key)}`);
            underWay.set(one.key, id);
          }
        };
        const settle = (id: string, key: number, retryInMs: number | null) => {
          underWay.delete(key);
          const one = held.get(id) as Held;
          if (retryInMs === null) held.delete(id);
          else one.dueAt = now + retryInMs;
          line.settled(id, retryInMs === null ? null : now + retryInMs);
        };
        const commit = (all: boolean) => {
          for (const [id, one] of held)
            if (all || Number(id) <= count - LATE) one.committedAt ??= count;
        };
        const read = (size: number, sweeps: boolean) => {
          reading ??= beginRead(line, held, size, count, () => now, sweeps);
        };
        const take = () => {
          reading?.take();
          reading = undefined;
        };

        for (const one of steps) {
          if ('arrives' in one) {
            for (let n = 0; n < one.count; n++) {
              count += 1;
              const committedAt = one.late ? undefined : count;
              held.set(idOf(count), { key: one.arrives, dueAt: now, committedAt });
              commit(false);
            }
          } else if ('reads' in one) {
            read(one.reads, one.sweeps);
            if (one.takes) take();
          } else if ('takes' in one) take();
          else if ('next' in one) next(one.next);
          else if ('passes' in one) now += one.passes;
          else if ('cancels' in one) {
            const waiting = [...held.keys()].filter((id) => ![...underWay.values()].includes(id));
            if (waiting.length > 0) held.delete(waiting[one.cancels % waiting.length] as string);
          } else if (underWay.size > 0) {
            const [key, id] = [...underWay][one.settles % underWay.size] as [number, string];
            settle(id, key, one.retryInMs);
          }
        }
        // From now on all goes well: then all must go.
        commit(true);
        for (let round = 0; round < 3_000 && held.size > 0; round++) {
          take();
          read(LATE + 1, round % 2 === 0);
          take();
          next(2);
          now += 1;
          for (const [key, id] of [...underWay]) settle(id, key, null);
        }
        return held.size === 0;
      }),
      { numRuns: 2_000 },
    );
  },
);

t.test('without strict order nothing waits, and the oldest go first', async (t) => {
  const line = createSendOrder(false);
  line.beginRead('ahead');
  line.take(pageOf([3, 4, 5].map((n) => ({ webhookId: idOf(n), key: 0, dueAt: 0 }))), false, 0);
  t.strictSame(line.next(2, 1), [idOf(3), idOf(4)]);
  line.settled(idOf(3), 10);
  t.strictSame(line.next(2, 1), [idOf(5)]);
  t.equal(line.dueAt, 10);
  t.strictSame(line.next(2, 10), [idOf(3)]);
});

t.test('keys behind a long backlog of a blocked key are found', async (t) => {
  const line = createSendOrder(true);
  const rows = (from: number, key: number) =>
    pageOf(Array.from({ length: 1_000 }, (_, n) => ({ webhookId: idOf(from + n), key, dueAt: 0 })));
  line.beginRead('ahead');
  line.take(rows(0, 1), true, 1);
  t.strictSame(line.next(10, 1), [idOf(0)]);
  line.settled(idOf(0), 3_600_000);
  for (let from = 1_000; from < 500_000; from += 1_000) line.take(rows(from, 1), true, 1);
  t.equal(line.ready(1), 0);
  t.notOk(line.isFull(1), 'and they take no more memory');
  line.take(pageOf([{ webhookId: idOf(500_000), key: 2, dueAt: 0 }]), false, 1);
  t.strictSame(line.next(10, 1), [idOf(500_000)]);
});

t.test('a free key is found behind any number of blocked keys', async (t) => {
  const line = createSendOrder(true);
  const blocked = Array.from({ length: 100_000 }, (_, n) => ({
    webhookId: idOf(n),
    key: n,
    dueAt: 60_000,
  }));
  line.beginRead('ahead');
  t.equal(line.take(pageOf(blocked), true, 1), blocked.length);
  // Two of each of some keys: neither those behind one that is blocked, nor those of one that is free.
  const behind = [5, 50_000, 99_999, 200_000, 200_000];
  line.take(
    pageOf(behind.map((key, n) => ({ webhookId: idOf(100_000 + n), key, dueAt: 0 }))),
    false,
    1,
  );
  t.strictSame(line.next(10, 1), [idOf(100_003)]);
  t.equal(line.sweepAt, 60_000, 'and the others are looked for when they are due');
});

t.test('a delivery that is no longer held stops blocking its key after a sweep', async (t) => {
  const line = createSendOrder(true);
  const give = (kind: 'ahead' | 'sweep', ids: number[], dueAt: number) => {
    line.beginRead(kind);
    line.take(pageOf(ids.map((n) => ({ webhookId: idOf(n), key: 1, dueAt }))), false, 0);
  };
  give('ahead', [1], 60_000);
  give('ahead', [2, 3], 0);
  t.equal(line.ready(1), 0, 'the first one waits for its retry');
  give('sweep', [2, 3], 0);
  t.strictSame(line.next(10, 1), [idOf(2)]);
});

t.test('a due time that was moved to earlier is kept from the next page on', async (t) => {
  const order = createSendOrder(true);
  const take = (kind: 'ahead' | 'sweep', dueAt: number) => {
    order.beginRead(kind);
    order.take(pageOf([1, 2].map((n) => ({ webhookId: idOf(n), key: 1, dueAt }))), false, 0);
  };
  take('ahead', 86_400_000);
  t.equal(order.ready(10), 0);
  take('sweep', 5);
  t.strictSame(order.next(10, 10), [idOf(1)]);

  // A page that was read before an attempt ended does not undo its retry time.
  order.beginRead('sweep');
  order.settled(idOf(1), 60_000);
  order.take(pageOf([{ webhookId: idOf(1), key: 1, dueAt: 5 }]), false, 0);
  t.equal(order.ready(1_000), 0);
});
