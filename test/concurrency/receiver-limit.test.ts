import fc from 'fast-check';
import t, { type Test } from 'tap';
import { createLanes, type Lanes, type Place } from '../../src/concurrency/receiver-limit.ts';

function start(t: Test, limit: number): Lanes {
  const lanes = createLanes(limit, () => false);
  t.teardown(() => lanes.stop());
  return lanes;
}

/** Asks for places at once, and returns those that were given without waiting. */
async function enter(
  lanes: Lanes,
  id: number,
  count: number,
  tenant = 'default',
): Promise<Place[]> {
  const given: Place[] = [];
  for (let n = 0; n < count; n++)
    void Promise.resolve(lanes.enter(id, tenant, 'queue')).then(
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
  const lanes = createLanes(
    1000,
    () => false,
    () => now,
  );
  t.teardown(() => lanes.stop());
  const places = await enter(lanes, 1, 600);
  for (let round = 0; round < 5; round++) {
    now += 50;
    for (const place of places.splice(0)) lanes.leave(place, 'success', 50);
    await Promise.resolve();
  }
  t.ok(lanes.inFlight > 100 && lanes.inFlight <= 330, `${lanes.inFlight} in flight`);
});

t.test('places are all taken when something waits for one, not for its receiver', async (t) => {
  const lanes = start(t, 100);
  const [first] = await enter(lanes, 1, 50);
  t.equal(lanes.inFlight, 10);
  t.notOk(lanes.wereFull(), 'forty wait for their receiver');
  for (let id = 2; lanes.inFlight < 40; id++) await enter(lanes, id, 10);
  t.notOk(lanes.wereFull());
  await enter(lanes, 99, 1);
  t.ok(
    lanes.wereFull(),
    'a tenant has four fifths of the half for receivers that nothing is known of',
  );
  t.notOk(lanes.wereFull(), 'since it was asked last');
  lanes.leave(first as Place, 'timeout', 15_000);
  t.equal(lanes.inFlight, 40, 'and one that became free is taken again');
});

t.test('one that has much to get leaves free places to others, in their turn', async (t) => {
  const lanes = start(t, 25);
  const places = await enter(lanes, 1, 2_000);
  for (let round = 0; round < 10 && lanes.inFlight < 20; round++) {
    for (const place of places.splice(0)) lanes.leave(place, 'success', 5);
    await Promise.resolve();
    await Promise.resolve();
  }
  t.equal(lanes.inFlight, 20, 'it has all places that its tenant can have');
  const other = await enter(lanes, 2, 1);
  t.equal(other.length, 0);
  for (let n = 0; n < 2; n++) lanes.leave(places.pop() as Place, 'success', 5);
  await Promise.resolve();
  await Promise.resolve();
  t.equal(other.length, 1, 'of the next two that are free one is not its own again');
});

t.test('receivers that have not answered yet share half of the places', async (t) => {
  const lanes = start(t, 100);
  for (let id = 1; id <= 300; id++) await enter(lanes, id, 10, `tenant ${id}`);
  t.equal(lanes.inFlight, 50);
});

t.test(
  'a tenant, however many receivers it has, leaves places to the receivers of others',
  async (t) => {
    const lanes = start(t, 100);
    for (let id = 1; id <= 100; id++) await enter(lanes, id, 10, 'greedy');
    t.equal(lanes.inFlight, 40, 'of those that have not answered yet');
    t.equal((await enter(lanes, 101, 5, 'modest')).length, 5);
    t.equal((await enter(lanes, 102, 1, 'another')).length, 1);

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
  const lanes = start(t, 100);
  for (let id = 1; id <= 40; id++) {
    const [place] = await enter(lanes, id, 1, `tenant ${id}`);
    lanes.leave(place as Place, 'success', 20_000);
  }
  const [place] = await enter(lanes, 99, 1);
  lanes.leave(place as Place, 'success', 10);
  for (let id = 1; id <= 40; id++) await enter(lanes, id, 10, `tenant ${id}`);
  t.equal(lanes.inFlight, 80);
  t.equal((await enter(lanes, 99, 10)).length, 10);
});

t.test('a backlog goes before what comes from the queue', async (t) => {
  const lanes = start(t, 100);
  lanes.setBacklogged(1, true);
  t.equal(await lanes.enter(1, 'default', 'queue'), null);
  t.not(await lanes.enter(1, 'default', 'backlog'), null);
  lanes.setBacklogged(1, false);
  t.not(await lanes.enter(1, 'default', 'queue'), null);
});

t.test('a pinned receiver gets so many requests at once, whatever it answers', async (t) => {
  const lanes = start(t, 1000);
  lanes.pin(1, 3);
  const places = await enter(lanes, 1, 20);
  t.equal(places.length, 3);
  for (const place of places.splice(0)) lanes.leave(place, 'success', 5);
  await Promise.resolve();
  t.equal(lanes.inFlight, 3, 'no more when it answers');
  t.equal(lanes.roomFor(1), -14, 'and none for those that would wait behind them');
  lanes.pin(1, 5);
  await Promise.resolve();
  t.equal(lanes.inFlight, 5);
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
      const lanes = createLanes(40, () => false);
      const held: Place[] = [];
      let largest = 40;
      for (const one of steps) {
        if ('enter' in one) {
          void Promise.resolve(lanes.enter(one.enter, `tenant ${one.enter % 3}`, 'queue')).then(
            (place) => place !== null && held.push(place),
          );
        } else if ('limit' in one) {
          largest = Math.max(largest, one.limit);
          lanes.resize(one.limit);
        } else if (held.length > 0) {
          const [place] = held.splice(one.leave % held.length, 1);
          lanes.leave(place as Place, one.status, one.ms);
        }
        await Promise.resolve();
        await Promise.resolve();
        if (lanes.inFlight !== held.length || lanes.inFlight > largest) return false;
      }
      for (let place = held.pop(); place !== undefined; place = held.pop()) {
        lanes.leave(place, 'success', 1);
        await Promise.resolve();
        await Promise.resolve();
      }
      lanes.stop();
      return lanes.inFlight === 0 && lanes.waiting === 0;
    }),
    { numRuns: 300 },
  );
});

t.test('a receiver that is back gets one request, then two, then four', async (t) => {
  const lanes = start(t, 1000);
  const first = await enter(lanes, 1, 10);
  for (const place of first) lanes.leave(place, 'timeout', 1_000);
  lanes.startSlowly(1);
  const places = await enter(lanes, 1, 100);
  for (const expected of [1, 2, 4, 8]) {
    t.equal(lanes.inFlight, expected);
    for (const place of places.splice(0)) lanes.leave(place, 'success', 5);
    await Promise.resolve();
    await Promise.resolve();
  }
});
