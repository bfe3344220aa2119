import fc from 'fast-check';
import t from 'tap';
import {
  createDeliveryMemory,
  type DeliveryMemory,
  type MemoryShare,
} from '../../src/concurrency/delivery-memory.ts';

/** Asks for memory for a job, and notes its name once it has it. */
function ask(
  memory: DeliveryMemory,
  admitted: string[],
  name: string,
  { count = 1, bytes = 0, bulk = false, subscription = 1 },
): void {
  const note = () => void admitted.push(name);
  const waits = memory.admitJob(Array(count).fill(subscription), bytes, bulk);
  if (waits === undefined) note();
  else void waits.then(note);
}

t.test('jobs wait for a number of deliveries and for bytes, and go in turn', async (t) => {
  for (const next of [
    { count: 60, bytes: 1 },
    { count: 1, bytes: 600 },
  ]) {
    const memory = createDeliveryMemory(100, 1000);
    const admitted: string[] = [];
    ask(memory, admitted, 'first', { count: 50, bytes: 500 });
    ask(memory, admitted, 'next', next);
    ask(memory, admitted, 'small', { count: 1, bytes: 1 });
    t.strictSame(admitted, ['first'], 'the small do not overtake the large, which would starve');
    t.equal(memory.waiting, 2);
    memory.release('queue', 49, 0);
    memory.release('queue', 1, 500);
    await Promise.resolve();
    t.strictSame(admitted, ['first', 'next', 'small']);
  }
});

t.test('a job that lets others go first waits until no other does', async (t) => {
  const memory = createDeliveryMemory(1, 100);
  const admitted: string[] = [];
  ask(memory, admitted, 'running', {});
  ask(memory, admitted, 'running bulk', { bulk: true });
  ask(memory, admitted, 'bulk', { bulk: true });
  ask(memory, admitted, 'second', {});
  ask(memory, admitted, 'third', {});
  for (const [name, ended] of [
    ['second', 'queue'],
    ['third', 'queue'],
    ['bulk', 'bulk'],
  ] as const) {
    memory.release(ended, 1, 0);
    await Promise.resolve();
    t.equal(admitted.at(-1), name);
  }
});

t.test('however many bulk deliveries wait, another webhook has room at once', async (t) => {
  const memory = createDeliveryMemory(100, 1_000_000);
  const bulk: string[] = [];
  for (let n = 0; n < 100; n++)
    ask(memory, bulk, `bulk ${n}`, { count: 25, bytes: 50, bulk: true });
  memory.addHeld(memory.roomForHeld(1), 10);
  for (let round = 0; round < 20; round++) {
    t.equal(memory.addAccepted(1, 10, false), 1, 'handed over');
    const others: string[] = [];
    ask(memory, others, 'job', { bytes: 10 });
    t.strictSame(others, ['job']);
    t.equal(memory.addAccepted(1, 10, true), 0, 'one of many waits for those before it');
    // When bulk deliveries leave the memory, other bulk deliveries get their room.
    memory.release('bulk', 25, 50);
    memory.release('queue', 2, 20);
    await Promise.resolve();
  }
  t.ok(bulk.length > 20, 'and they go on');
});

t.test('neither the queue nor the backlogs keep the other from memory', async (t) => {
  const memory = createDeliveryMemory(100, 1_000_000);
  const admitted: string[] = [];
  t.equal(memory.roomForHeld(1), 80, 'a fifth is left');
  t.equal(memory.roomForHeld(100_000), 8, 'of the bytes too');
  memory.addHeld(80, 80);
  t.equal(memory.roomForHeld(1), 0);
  ask(memory, admitted, 'one job', { count: 10 });
  t.strictSame(admitted, ['one job']);

  const busy = createDeliveryMemory(100, 1_000_000);
  while (busy.waiting === 0) ask(busy, admitted, 'job', { count: 10, bytes: 100 });
  t.equal(busy.count, 80);
  t.ok(busy.roomForHeld(1) > 10);
  busy.addHeld(20, 20);
  t.equal(busy.roomForHeld(1), 0);
});

t.test('each may have one job or one delivery, however large', async (t) => {
  const memory = createDeliveryMemory(10, 1000);
  const admitted: string[] = [];
  ask(memory, admitted, 'large', { count: 25, bytes: 5_000 });
  t.strictSame(admitted, ['large']);
  t.equal(memory.roomForHeld(100), 1);
  memory.addHeld(1, 100);
  t.equal(memory.roomForHeld(100), 0);
});

t.test('a receiver is told of jobs that wait with deliveries to others', (t) => {
  const memory = createDeliveryMemory(1, 100);
  const admitted: string[] = [];
  ask(memory, admitted, 'running', { subscription: 3 });
  t.notOk(memory.othersWait(1));
  ask(memory, admitted, 'its own', { subscription: 1 });
  t.notOk(memory.othersWait(1));
  t.ok(memory.othersWait(2));
  ask(memory, admitted, 'bulk', { subscription: 2, bulk: true });
  t.ok(memory.othersWait(1));
  t.end();
});

t.test('whatever comes and goes, its bounds hold, and none waits that would fit', async () => {
  const step = fc.oneof(
    fc.record({ job: fc.integer({ min: 1, max: 25 }), bytes: fc.nat(500), bulk: fc.boolean() }),
    fc.record({ held: fc.integer({ min: 1, max: 30 }) }),
    fc.record({ release: fc.nat() }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
      const [maxCount, maxBytes, heldBytes] = [100, 1000, 20];
      const memory = createDeliveryMemory(maxCount, maxBytes);
      const inMemory: { source: MemoryShare; count: number; bytes: number }[] = [];
      const has = (source: string) => inMemory.filter((one) => one.source === source);
      for (const one of steps) {
        if ('job' in one) {
          const source: MemoryShare = one.bulk ? 'bulk' : 'queue';
          const job = { source, count: one.job, bytes: one.bytes };
          const waits = memory.admitJob(Array(one.job).fill(1), one.bytes, one.bulk);
          if (waits === undefined) inMemory.push(job);
          else void waits.then(() => inMemory.push(job));
        } else if ('held' in one) {
          const count = Math.min(one.held, memory.roomForHeld(heldBytes));
          memory.addHeld(count, count * heldBytes);
          if (count > 0) inMemory.push({ source: 'backlog', count, bytes: count * heldBytes });
        } else if (inMemory.length > 0) {
          const [ended] = inMemory.splice(one.release % inMemory.length, 1);
          if (ended !== undefined) memory.release(ended.source, ended.count, ended.bytes);
        }
        await Promise.resolve();
        const sum = (of: 'count' | 'bytes') => inMemory.reduce((all, { [of]: n }) => all + n, 0);
        if (memory.count !== sum('count')) return false;
        if (sum('count') > maxCount + 50 || sum('bytes') > maxBytes + 1_000) return false;
        if (memory.waiting > 0 && has('queue').length + has('bulk').length === 0) return false;
        if (memory.roomForHeld(heldBytes) === 0 && has('backlog').length === 0) return false;
      }
      for (let one = inMemory.pop(); one !== undefined; one = inMemory.pop()) {
        memory.release(one.source, one.count, one.bytes);
        await Promise.resolve();
      }
      return memory.count === 0 && memory.waiting === 0;
    }),
    { numRuns: 500 },
  );
});

t.test(
  'deliveries that are being accepted get what is free, and nothing while a job waits',
  async (t) => {
    const memory = createDeliveryMemory(100, 1000);
    t.equal(memory.addAccepted(10, 100, false), 10);
    t.equal(
      memory.addAccepted(1_000, 0, false),
      70,
      'four fifths of all that is there, as far as they fit',
    );
    t.equal(memory.addAccepted(1, 1_000, false), 0, 'their bytes do not fit');
    t.equal(memory.count, 80);
    memory.release('queue', 80, 100);

    const admitted: string[] = [];
    ask(memory, admitted, 'running', { count: 90 });
    ask(memory, admitted, 'waiting', { count: 90 });
    t.equal(memory.addAccepted(1, 0, false), 0, 'a job waits');
    memory.release('queue', 90, 0);
    await Promise.resolve();
    t.strictSame(admitted, ['running', 'waiting']);
  },
);

t.test(
  'accepting waits until the queue has half of the memory, whatever the backlogs have',
  async (t) => {
    const memory = createDeliveryMemory(100, 1000);
    memory.addHeld(60, 600);
    t.equal(memory.whenFree(60_000), undefined, 'a backlog does not count');
    memory.release('backlog', 60, 600);
    ask(memory, [], 'job', { count: 51 });
    const free = memory.whenFree(60_000);
    t.ok(free instanceof Promise);
    let isFree = false;
    void free?.then(() => {
      isFree = true;
    });
    await Promise.resolve();
    t.notOk(isFree);
    memory.release('queue', 1, 0);
    await free;
    ask(memory, [], 'job', { count: 1 });
    await memory.whenFree(1);
    t.pass('it also ends when its time is over');
  },
);
