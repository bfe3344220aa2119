import fc from 'fast-check';
import t from 'tap';
import { nextTotalLimit, type Observation } from '../../src/concurrency/total-limit-tuning.ts';

const MAX = 1000;

/** Where the number of requests in flight comes to rest while nothing changes. */
function settle(observation: Observation, from = 200, max = MAX): number {
  let limit = from;
  for (let n = 0; n < 50; n++) limit = nextTotalLimit(limit, max, observation);
  return limit;
}

t.test('slow receivers get as many requests in flight as are allowed', async (t) => {
  t.equal(settle({ utilization: 0.3, holdMs: 200, waiting: true }), MAX);
  t.equal(settle({ utilization: 0.3, holdMs: 50, waiting: true }), MAX, 'the loop has time left');
});

t.test('receivers that hang get them too, however busy intake keeps the process', async (t) => {
  t.equal(settle({ utilization: 1, holdMs: Number.POSITIVE_INFINITY, waiting: true }), MAX);
  t.equal(settle({ utilization: 1, holdMs: 15_000, waiting: true }), MAX);
});

t.test('quick receivers get fewer once the process is full', async (t) => {
  t.equal(settle({ utilization: 1, holdMs: 70, waiting: true }, MAX), 200);
});

t.test('nothing changes while nothing waits', async (t) => {
  t.equal(settle({ utilization: 0.2, holdMs: 500, waiting: false }), 200);
});

t.test(
  'the limit stays between 200 (or the setting, if that is less) and the setting',
  async () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 25, max: 20_000 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.oneof(fc.double({ min: 0, max: 1e5, noNaN: true }), fc.constant(Number.NaN)),
        fc.boolean(),
        (max, utilization, holdMs, waiting) => {
          const least = Math.min(200, max);
          const limit = settle({ utilization, holdMs, waiting }, least, max);
          return limit >= least && limit <= max && Number.isInteger(limit);
        },
      ),
    );
  },
);
