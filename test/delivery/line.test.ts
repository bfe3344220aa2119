import fc from 'fast-check';
import t from 'tap';
import { type Candidate, createLine, type Line } from '../../src/delivery/line.ts';

const BOUNDS = { keys: 4, queued: 8, queuedOfKey: 3 };
const idOf = (n: number) => String(n).padStart(6, '0');

/** What is held, as the database has it. */
interface Held {
  readonly key: string;
  dueAt: number;
}

/** Reads what the line would be given next, as feeder.ts does. Returns whether there was anything to read. */
function read(line: Line, held: ReadonlyMap<string, Held>, size: number): boolean {
  const passed = line.passedAfter;
  if (passed === null && line.full) return false;
  const after = passed ?? line.front ?? '';
  const page: Candidate[] = [...held]
    .filter(([id]) => id > after)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .slice(0, size)
    .map(([webhookId, { key, dueAt }]) => ({ webhookId, key, dueAt }));
  if (passed !== null) line.fill(page, page.length === size);
  else line.add(page);
  return passed !== null || page.length === size;
}

const step = fc.oneof(
  fc.record({ arrives: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f') }),
  fc.record({ page: fc.integer({ min: 1, max: 6 }) }),
  fc.record({ next: fc.integer({ min: 1, max: 4 }) }),
  fc.record({ settles: fc.nat(), retryInMs: fc.option(fc.integer({ min: 0, max: 5 })) }),
  fc.record({ passes: fc.integer({ min: 1, max: 5 }) }),
  fc.constant({ restart: true as const }),
);

t.test(
  'of one key one is under way at a time, the oldest first, and none is forgotten',
  async () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 150 }), (steps) => {
        const line = createLine(true, BOUNDS);
        const held = new Map<string, Held>();
        const underWay = new Map<string, string>();
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
            const older = [...held].filter(([other, { key }]) => key === one.key && other < id);
            if (older.length > 0) throw new Error(`${id} before ${older}`);
            if (one.dueAt > now) throw new Error(`${id} is not due`);
            if (underWay.has(one.key)) throw new Error(`${id} beside ${underWay.get(one.key)}`);
            underWay.set(one.key, id);
          }
        };
        const settle = (id: string, key: string, retryInMs: number | null) => {
          underWay.delete(key);
          const one = held.get(id) as Held;
          if (retryInMs === null) held.delete(id);
          else one.dueAt = now + retryInMs;
          line.settled(id, retryInMs === null ? null : now + retryInMs);
        };

        for (const one of steps) {
          if ('arrives' in one) held.set(idOf(++count), { key: one.arrives, dueAt: now });
          else if ('page' in one) read(line, held, one.page);
          else if ('next' in one) next(one.next);
          else if ('passes' in one) now += one.passes;
          else if ('restart' in one) line.restart();
          else if (underWay.size > 0) {
            const [key, id] = [...underWay][one.settles % underWay.size] as [string, string];
            settle(id, key, one.retryInMs);
          }
        }
        // From now on all goes well: then all must go.
        for (let round = 0; round < 500 && held.size > 0; round++) {
          read(line, held, 3);
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

t.test('without an order nothing waits for anything, and the oldest go first', async (t) => {
  const line = createLine(false);
  const page = [5, 3, 4].map((n) => ({ webhookId: idOf(n), key: null, dueAt: 0 }));
  line.add(page.toSorted((a, b) => (a.webhookId < b.webhookId ? -1 : 1)));
  t.strictSame(line.next(2, 1), [idOf(3), idOf(4)]);
  line.settled(idOf(3), 10);
  t.strictSame(line.next(2, 1), [idOf(5)]);
  t.equal(line.dueAt, 10);
  t.strictSame(line.next(2, 10), [idOf(3)]);
});

t.test('however long the backlog of a blocked key, others behind it are found', async (t) => {
  const line = createLine(true);
  const page = (from: number, key: string) =>
    Array.from({ length: 1_000 }, (_, n) => ({ webhookId: idOf(from + n), key, dueAt: 0 }));
  line.add(page(0, 'blocked'));
  t.strictSame(line.next(10, 1), [idOf(0)]);
  line.settled(idOf(0), 3_600_000);
  for (let from = 1_000; from < 500_000; from += 1_000) line.add(page(from, 'blocked'));
  t.equal(line.ready(1), 0);
  t.notOk(line.full, 'and they take no more memory');
  line.add([{ webhookId: idOf(500_000), key: 'other', dueAt: 0 }]);
  t.strictSame(line.next(10, 1), [idOf(500_000)]);
});

t.test('where they are to take turns, the one that had fewest goes first', async (t) => {
  const line = createLine(false);
  line.add([1, 2, 3].map((n) => ({ webhookId: idOf(n), key: null, dueAt: 0 })));
  const turns = new Map<string, number>();
  const order: string[] = [];
  for (let n = 0; n < 5; n++) {
    const [next] = line.next(1, 1, (webhookId) => turns.get(webhookId) ?? 0);
    turns.set(next as string, (turns.get(next as string) ?? 0) + 1);
    order.push(next as string);
    line.settled(next as string, 0);
  }
  t.strictSame(order, [1, 2, 3, 1, 2].map(idOf));
  t.strictSame(line.next(3, 1), [1, 2, 3].map(idOf), 'and none is left out');
});
