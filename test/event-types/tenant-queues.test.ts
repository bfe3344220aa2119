import fc from 'fast-check';
import t from 'tap';
import {
  createTenantQueues,
  type Job,
  TooMuchWaitingError,
} from '../../src/event-types/tenant-queues.ts';

const job = (tenant: string, more: Partial<Job & { n: number }> = {}) => ({
  tenant,
  bytes: 1,
  lane: 'quick' as const,
  since: 0,
  n: 0,
  ...more,
});

t.test('a tenant with one job waits for at most one job of each other tenant', async (t) => {
  const queues = createTenantQueues();
  for (let n = 0; n < 500; n += 1) for (const tenant of ['a', 'b']) queues.add(job(tenant));
  for (let n = 0; n < 10; n += 1) queues.take('quick', 0);
  queues.add(job('c'));
  const next = Array.from({ length: 3 }, () => queues.take('quick', 0)?.tenant);
  t.ok(next.includes('c'), `${next}`);
});

t.test('the tenant that has used least goes first', async (t) => {
  const queues = createTenantQueues();
  for (const tenant of ['much', 'little']) {
    queues.add(job(tenant));
    queues.add(job(tenant));
  }
  queues.charge('much', 3_000, 0);
  const order = Array.from({ length: 4 }, () => queues.take('quick', 0)?.tenant);
  t.strictSame(order, ['little', 'little', 'much', 'much']);
});

t.test('a tenant uses no more than half of a core, after ten seconds of it', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 1_000 }), async (costMs) => {
      const queues = createTenantQueues();
      let now = 0;
      let usedMs = 0;
      while (now < 100_000) {
        queues.add(job('a'));
        if (queues.take('quick', now) === undefined) {
          queues.takeOlderThan(Number.POSITIVE_INFINITY);
          now += 50;
        } else {
          queues.charge('a', costMs, now);
          usedMs += costMs;
          now += costMs;
        }
      }
      return usedMs <= 10_000 + now / 2 + costMs && usedMs > now / 2;
    }),
    { numRuns: 30 },
  );
});

t.test('jobs of a slow tenant, and slow jobs, are done in the slow lane', async (t) => {
  const queues = createTenantQueues();
  queues.add(job('a'));
  queues.add(job('b', { lane: 'slow' }));
  t.notOk(queues.take('slow', 0)?.tenant === 'a');
  queues.markSlow('a', 0);
  t.equal(queues.take('quick', 0), undefined);
  t.equal(queues.has('slow', 0), true);
  t.equal(queues.take('slow', 0)?.tenant, 'a');
  queues.add(job('a'));
  t.equal(queues.take('quick', 3_600_000)?.tenant, 'a', 'an hour later it is like any other');
});

t.test('a job that is put back keeps its place', async (t) => {
  const queues = createTenantQueues<ReturnType<typeof job>>();
  for (let n = 0; n < 5; n += 1) queues.add(job('a', { n }));
  const taken = [queues.take('quick', 0), queues.take('quick', 0)].filter(
    (some) => some !== undefined,
  );
  queues.putBack(taken, 0);
  const order = Array.from({ length: 5 }, () => queues.take('quick', 0)?.n);
  t.strictSame(order, [0, 1, 2, 3, 4]);
  t.ok(queues.isEmpty);
});

t.test('the waiting jobs of each tenant are limited separately', async (t) => {
  const queues = createTenantQueues();
  queues.add(job('large', { bytes: 1e9 }));
  t.throws(() => queues.add(job('large')), TooMuchWaitingError);
  t.throws(() => {
    for (let n = 0; n < 100_000; n += 1) queues.add(job('many'));
  }, TooMuchWaitingError);
  queues.add(job('other'));
  queues.take('quick', 0);
  t.equal(queues.takeOlderThan(1).length > 1_000, true);
  t.ok(queues.isEmpty);
});
