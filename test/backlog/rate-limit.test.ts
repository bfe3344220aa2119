import fc from 'fast-check';
import t from 'tap';
import { createRateLimiter } from '../../src/backlog/rate-limit.ts';

t.test('in any span of time, at most 110 % of the limit of requests start', async () => {
  const limits = fc.record({
    limit: fc.integer({ min: 1, max: 200 }),
    perMs: fc.integer({ min: 100, max: 10_000 }),
  });
  const looks = fc.array(
    fc.record({ afterMs: fc.double({ min: 0, max: 500, noNaN: true }), want: fc.nat(50) }),
    { minLength: 1, maxLength: 200 },
  );
  fc.assert(
    fc.property(limits, looks, (limit, steps) => {
      let now = 1_000;
      const rate = createRateLimiter(limit, now);
      const begun: number[] = [];
      for (const { afterMs, want } of steps) {
        now += afterMs;
        const count = Math.min(want, rate.permits(now));
        rate.take(count, now);
        for (let n = 0; n < count; n++) begun.push(now);
      }
      const burst = Math.max(1, limit.limit * 0.1);
      return begun.every((from, at) => {
        const within = begun.slice(at).filter((one) => one < from + limit.perMs).length;
        return within <= limit.limit + burst;
      });
    }),
    { numRuns: 500 },
  );
});

t.test('asking again at the given times yields the whole rate', async (t) => {
  for (const limit of [1, 3, 50, 1_000]) {
    let now = 0;
    const rate = createRateLimiter({ limit, perMs: 1_000 }, now);
    let begun = 0;
    while (now < 20_000) {
      const count = rate.permits(now);
      rate.take(count, now);
      begun += count;
      now += Math.max(0.5, rate.nextInMs(now));
    }
    t.ok(Math.abs(begun - limit * 20) <= limit * 0.1 + 1, `${begun} of ${limit * 20}`);
  }
});

t.test('a new owner starts with one request, not before it is due', async (t) => {
  const limit = { limit: 100, perMs: 10_000 };
  t.equal(createRateLimiter(limit, 5_000).permits(5_000), 1);
  const rate = createRateLimiter(limit, 5_000, 4_950);
  t.equal(rate.permits(5_000), 0);
  t.equal(rate.nextInMs(5_000), 50);
  t.equal(rate.permits(5_050), 1);
});
