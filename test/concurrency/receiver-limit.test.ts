import fc from 'fast-check';
import t, { type Test } from 'tap';
import type { Place } from '../../src/concurrency/receiver.ts';
import { createReceiverLimits, type ReceiverLimits } from '../../src/concurrency/receiver-limit.ts';
import { createTotalLimit } from '../../src/concurrency/total-limit.ts';

const MIB = 1024 * 1024;

const createLimits = (limit: number, now?: () => number) =>
  createReceiverLimits(createTotalLimit(limit, 32 * MIB), () => false, now);

function start(t: Test, limit: number): ReceiverLimits {
  const receiverLimits = createLimits(limit);
  t.teardown(() => receiverLimits.stop());
  return receiverLimits;
}

/** Asks for places at once, and returns those that were given without waiting. */
async function enter(
  receiverLimits: ReceiverLimits,
  id: number,
  count: number,
  tenant = 'default',
  bytes = 100,
): Promise<Place[]> {
  const given: Place[] = [];
  for (let n = 0; n < count; n++)
    void Promise.resolve(receiverLimits.enter(id, tenant, bytes, 'queue')).then(
      (place) => place !== null && given.push(place),
    );
  await Promise.resolve();
  await Promise.resolve();
  return given;
}

t.test('a receiver of which nothing is known gets ten requests at once', async (t) => {
  t.equal((await enter(start(t, 1000), 1, 50)).length, 10);
});

t.test('one that answers gets more with each round of answers', async (t) => {
  let now = 0;
  const receiverLimits = createLimits(1000, () => now);
  t.teardown(() => receiverLimits.stop());
  const places = await enter(receiverLimits, 1, 600);
  for (let round = 0; round < 5; round++) {
    now += 50;
    for (const place of places.splice(0)) receiverLimits.leave(place, 'success', 50);
    await Promise.resolve();
  }
  t.ok(
    receiverLimits.inFlight > 100 && receiverLimits.inFlight <= 330,
    `${receiverLimits.inFlight} in flight`,
  );
});

t.test('a delivery waits half a minute at most for a receiver that answers slowly', async (t) => {
  let now = 0;
  const receiverLimits = createLimits(1000, () => now);
  // Its timer does not keep the process running.
  const running = setInterval(() => {}, 50);
  t.teardown(() => {
    clearInterval(running);
    receiverLimits.stop();
  });
  const enterOne = () => receiverLimits.enter(1, 'default', 100, 'queue');
  receiverLimits.pin(1, 1);
  const place = await enterOne();
  const next = enterOne();
  const late = enterOne();
  now = 30_000;
  // An answer, so that the receiver has not stalled.
  receiverLimits.leave(place as Place, 'success', 29_000);
  t.not(await next, null, 'the next one gets the place that became free');
  t.equal(await late, null, 'the one behind it has waited for too long');
  t.ok(enterOne() instanceof Promise, 'others may wait');
});

t.test('places are all taken when something waits for one, not for its receiver', async (t) => {
  const receiverLimits = start(t, 100);
  const [first] = await enter(receiverLimits, 1, 50);
  t.equal(receiverLimits.inFlight, 10);
  t.notOk(receiverLimits.wasFull(), 'forty wait for their receiver');
  for (let id = 2; receiverLimits.inFlight < 40; id++) await enter(receiverLimits, id, 10);
  t.notOk(receiverLimits.wasFull());
  await enter(receiverLimits, 99, 1);
  t.ok(
    receiverLimits.wasFull(),
    'a tenant has four fifths of the half for receivers that nothing is known of',
  );
  t.notOk(receiverLimits.wasFull(), 'since it was asked last');
  receiverLimits.leave(first as Place, 'timeout', 15_000);
  t.equal(receiverLimits.inFlight, 40, 'and one that became free is taken again');
});

t.test('one that has much to get leaves free places to others, in their turn', async (t) => {
  const receiverLimits = start(t, 25);
  const places = await enter(receiverLimits, 1, 2_000);
  for (let round = 0; round < 10 && receiverLimits.inFlight < 20; round++) {
    for (const place of places.splice(0)) receiverLimits.leave(place, 'success', 5);
    await Promise.resolve();
    await Promise.resolve();
  }
  t.equal(receiverLimits.inFlight, 20, 'it has all places that its tenant can have');
  const other = await enter(receiverLimits, 2, 1);
  t.equal(other.length, 0);
  for (let n = 0; n < 2; n++) receiverLimits.leave(places.pop() as Place, 'success', 5);
  await Promise.resolve();
  await Promise.resolve();
  t.equal(other.length, 1, 'of the next two that are free one is not its own again');
});

t.test('receivers that have not answered yet share half of the places', async (t) => {
  const receiverLimits = start(t, 100);
  for (let id = 1; id <= 300; id++) await enter(receiverLimits, id, 10, `tenant ${id}`);
  t.equal(receiverLimits.inFlight, 50);
});

t.test(
  'a tenant, however many receivers it has, leaves places to the receivers of others',
  async (t) => {
    const receiverLimits = start(t, 100);
    for (let id = 1; id <= 100; id++) await enter(receiverLimits, id, 10, 'greedy');
    t.equal(receiverLimits.inFlight, 40, 'of those that have not answered yet');
    t.equal((await enter(receiverLimits, 101, 5, 'modest')).length, 5);
    t.equal((await enter(receiverLimits, 102, 1, 'another')).length, 1);

    const slow = start(t, 100);
    for (let id = 1; id <= 41; id++) {
      const [place] = await enter(slow, id, 1, id === 41 ? 'modest' : 'greedy');
      slow.leave(place as Place, 'success', 20_000);
    }
    for (let id = 1; id <= 40; id++) await enter(slow, id, 10, 'greedy');
    t.equal(slow.inFlight, 64, 'and of those that answer slowly');
    t.equal((await enter(slow, 41, 5, 'modest')).length, 5);

    const quick = start(t, 100);
    for (let id = 1; id <= 41; id++) {
      const [place] = await enter(quick, id, 1, id === 41 ? 'modest' : 'greedy');
      quick.leave(place as Place, 'success', 5);
    }
    for (let id = 1; id <= 40; id++) await enter(quick, id, 10, 'greedy');
    t.equal(quick.inFlight, 80, 'and of those that were quick until now, and may hang');
    t.equal((await enter(quick, 41, 5, 'modest')).length, 5);
    t.equal((await enter(quick, 42, 1, 'another')).length, 1);
  },
);

t.test('receivers that answer slowly never take the last fifth from the quick ones', async (t) => {
  const receiverLimits = start(t, 100);
  for (let id = 1; id <= 40; id++) {
    const [place] = await enter(receiverLimits, id, 1, `tenant ${id}`);
    receiverLimits.leave(place as Place, 'success', 20_000);
  }
  const [place] = await enter(receiverLimits, 99, 1);
  receiverLimits.leave(place as Place, 'success', 10);
  for (let id = 1; id <= 40; id++) await enter(receiverLimits, id, 10, `tenant ${id}`);
  t.equal(receiverLimits.inFlight, 80);
  t.equal((await enter(receiverLimits, 99, 10)).length, 10);
});

t.test('a tenant leaves bytes to others as it leaves places', async (t) => {
  const receiverLimits = start(t, 1000);
  const prove = async (id: number, tenant: string) => {
    const [place] = await enter(receiverLimits, id, 1, tenant);
    receiverLimits.leave(place as Place, 'success', 5);
  };
  for (let id = 1; id <= 10; id++) await prove(id, 'greedy');
  for (let id = 1; id <= 10; id++) await enter(receiverLimits, id, 10, 'greedy', MIB);
  t.equal(receiverLimits.inFlight, 25, 'four fifths of 32 MiB');
  t.equal((await enter(receiverLimits, 11, 3, 'modest', MIB)).length, 3);
  t.equal((await enter(receiverLimits, 12, 5, 'greedy', 0)).length, 5, 'a body that is not loaded');
});

t.test('a place comes back to the tenant that had it', async (t) => {
  const receiverLimits = start(t, 100);
  for (let id = 1; id <= 4; id++) {
    const places = await enter(receiverLimits, id, 9, 'greedy');
    // As a delivery whose payload is missing.
    places.push(...(await enter(receiverLimits, id, 1, '')));
    for (const place of places) receiverLimits.leave(place, null, 0);
  }
  for (let id = 5; id <= 10; id++) await enter(receiverLimits, id, 10, 'greedy');
  t.equal(receiverLimits.inFlight, 40, 'all that it can have');
});

t.test('a backlog loads only what has a place, unless its receiver answers', async (t) => {
  const receiverLimits = start(t, 100);
  t.equal(receiverLimits.roomFor(1, 'greedy'), 10, 'its window');
  for (let id = 2; id <= 6; id++) await enter(receiverLimits, id, 10, 'greedy');
  receiverLimits.wasFull();
  t.equal(receiverLimits.roomFor(1, 'greedy'), 0, 'its tenant has all places that it can have');
  t.ok(receiverLimits.wasFull(), 'so a larger total would help');
  t.ok(receiverLimits.roomFor(7, 'modest') > 0);
  const other = start(t, 100);
  const places = await enter(other, 1, 10, 'greedy');
  for (let id = 2; id <= 4; id++) await enter(other, id, 10, 'greedy');
  for (const place of places.splice(0)) other.leave(place, 'success', 2_000);
  for (let id = 5; id <= 6; id++) await enter(other, id, 10, 'greedy');
  t.equal(other.roomFor(1, 'greedy'), 20, 'twice what it answered lately');
});

t.test('a backlog goes before what comes from the queue', async (t) => {
  const receiverLimits = start(t, 100);
  receiverLimits.setBacklogged(1, true);
  t.equal(await receiverLimits.enter(1, 'default', 100, 'queue'), null);
  t.not(await receiverLimits.enter(1, 'default', 100, 'backlog'), null);
  receiverLimits.setBacklogged(1, false);
  t.not(await receiverLimits.enter(1, 'default', 100, 'queue'), null);
});

t.test('a pinned receiver gets so many requests at once, whatever it answers', async (t) => {
  const receiverLimits = start(t, 1000);
  receiverLimits.pin(1, 3);
  const places = await enter(receiverLimits, 1, 20);
  t.equal(places.length, 3);
  for (const place of places.splice(0)) receiverLimits.leave(place, 'success', 5);
  await Promise.resolve();
  t.equal(receiverLimits.inFlight, 3, 'no more when it answers');
  t.equal(
    receiverLimits.roomFor(1, 'default'),
    -14,
    'and none for those that would wait behind them',
  );
  receiverLimits.pin(1, 5);
  await Promise.resolve();
  t.equal(receiverLimits.inFlight, 5);
});

t.test('whatever happens, places add up and stay within their bounds', async () => {
  const status = fc.constantFrom('success', 'failed', 'timeout', 'blocked', null);
  const step = fc.oneof(
    fc.record({ enter: fc.integer({ min: 1, max: 8 }) }),
    fc.record({ leave: fc.nat(), status, ms: fc.integer({ min: 0, max: 30_000 }) }),
    fc.record({ limit: fc.integer({ min: 20, max: 60 }) }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 200 }), async (steps) => {
      const receiverLimits = createLimits(40);
      const held: Place[] = [];
      let largest = 40;
      for (const one of steps) {
        if ('enter' in one) {
          void Promise.resolve(
            receiverLimits.enter(one.enter, `tenant ${one.enter % 3}`, 100, 'queue'),
          ).then((place) => place !== null && held.push(place));
        } else if ('limit' in one) {
          largest = Math.max(largest, one.limit);
          receiverLimits.resize(one.limit);
        } else if (held.length > 0) {
          const [place] = held.splice(one.leave % held.length, 1);
          receiverLimits.leave(place as Place, one.status, one.ms);
        }
        await Promise.resolve();
        await Promise.resolve();
        if (receiverLimits.inFlight !== held.length || receiverLimits.inFlight > largest)
          return false;
      }
      for (let place = held.pop(); place !== undefined; place = held.pop()) {
        receiverLimits.leave(place, 'success', 1);
        await Promise.resolve();
        await Promise.resolve();
      }
      receiverLimits.stop();
      return receiverLimits.inFlight === 0 && receiverLimits.waiting === 0;
    }),
    { numRuns: 300 },
  );
});

t.test('a receiver that is back gets one request, then two, then four', async (t) => {
  const receiverLimits = start(t, 1000);
  const first = await enter(receiverLimits, 1, 10);
  for (const place of first) receiverLimits.leave(place, 'timeout', 1_000);
  receiverLimits.startSlowly(1);
  const places = await enter(receiverLimits, 1, 100);
  for (const expected of [1, 2, 4, 8]) {
    t.equal(receiverLimits.inFlight, expected);
    for (const place of places.splice(0)) receiverLimits.leave(place, 'success', 5);
    await Promise.resolve();
    await Promise.resolve();
  }
});
