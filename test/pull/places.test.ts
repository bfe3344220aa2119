// The law of places for requests that pull: no tenant takes those of others.
import fc from 'fast-check';
import { pino } from 'pino';
import t from 'tap';
import { createApp } from '../../src/api/app.ts';
import type { ApiServices } from '../../src/api/services.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { createMetrics } from '../../src/metrics/metrics.ts';
import { createPullPlaces } from '../../src/pull/places.ts';

t.test('a tenant alone gets four fifths, and leaves the rest', async (t) => {
  const places = createPullPlaces(2_000);
  let own = 0;
  while (typeof places.take('greedy') === 'function') own += 1;
  t.equal(own, 1_600);
  t.equal(places.take('greedy'), 'share');
  let others = 0;
  while (typeof places.take('other') === 'function') others += 1;
  t.ok(others > 300, `${others} of the 400 that were left`);
  t.ok(typeof places.take('third') === 'function', 'there is one for the next tenant');
});

t.test('whoever comes and goes, a tenant without a place gets one while any is free', async (t) => {
  const TENANTS = ['a', 'b', 'c', 'd', 'e'] as const;
  const step = fc.record({
    tenant: fc.constantFrom(...TENANTS),
    /** It takes so many places, or gives so many back. */
    change: fc.integer({ min: -30, max: 30 }),
  });
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }),
      fc.array(step, { maxLength: 60 }),
      (max, steps) => {
        const places = createPullPlaces(max);
        const given = new Map<string, (() => void)[]>(TENANTS.map((tenant) => [tenant, []]));
        for (const { tenant, change } of steps) {
          const own = given.get(tenant) as (() => void)[];
          for (const leave of own.splice(0, Math.max(0, -change))) {
            leave();
            // A second time changes nothing.
            leave();
          }
          for (let n = 0; n < change; n++) {
            const free = max - places.taken;
            const before = own.length;
            const taken = places.take(tenant);
            if (typeof taken === 'function') own.push(taken);
            else if (taken === 'full' ? free > 0 : free === 0 || before === 0)
              throw new Error(`${tenant} with ${before} was refused (${taken}), ${free} were free`);
          }
          if (places.taken > max) throw new Error(`${places.taken} of ${max} are taken`);
          for (const [name, list] of given)
            if (places.takenBy(name) !== list.length)
              throw new Error(`${name} has ${list.length}, not ${places.takenBy(name)}`);
        }
        for (const list of given.values()) for (const leave of list) leave();
        if (places.taken !== 0) throw new Error('places are lost');
      },
    ),
  );
  t.pass('no counterexample');
});

t.test('a request without a place is told when to come again', async (t) => {
  const places = createPullPlaces(5);
  const settings = loadSettings({}, import.meta.dirname);
  // The others are for requests that have a place.
  const services = {
    settings,
    serves: 'everything',
    log: pino({ level: 'silent' }),
    metrics: createMetrics(settings),
    subscriptions: { get: async () => ({ tenant: 'default', url: null, problem: null }) },
    pullPlaces: places,
  };
  const app = await createApp(services as unknown as ApiServices);
  t.teardown(() => app.close());
  const pull = () => app.inject({ method: 'GET', url: '/v1/subscriptions/1/pull' });
  const expected = (status: number, kind: string, detail: RegExp) => ({
    statusCode: status,
    headers: {
      'content-type': /^application\/problem\+json/,
      // Between five and ten seconds, so that not all come together.
      'retry-after': /^[5-9]$/,
    },
    payload: new RegExp(`urn:posthorn:problem:${kind}.*${detail.source}`),
  });
  while (typeof places.take('default') === 'function');
  const own = places.takenBy('default');
  t.match(
    await pull(),
    expected(429, 'too-many-requests', new RegExp(`${own} requests of this tenant pull already`)),
  );
  for (let n = 0; n < 5; n++) places.take(`tenant ${n}`);
  t.match(await pull(), expected(503, 'unavailable', /requests pull from this process already/));
});
