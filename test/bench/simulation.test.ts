import t from 'tap';
import { KINDS } from '../../bench/simulation/receivers.ts';
import { PINNED_TO, simulate, type Workload } from '../../bench/simulation/simulate.ts';

/** A receiver of each kind fails. Afterwards all are healthy for longer than the longest retry takes. */
const SMALL: Workload = {
  seed: 1,
  workers: 3,
  maxInFlight: 25,
  subscriptions: 60,
  webhooksPerSecond: 10,
  minutes: 6,
  failingEvery: 8,
  afterMinutes: 1_000,
};

t.test('in the simulation nothing is lost or doubled, and no limit is exceeded', async (t) => {
  const figures = await simulate(SMALL);
  t.ok(figures.accepted > 3_300 && figures.accepted < 3_900, `${figures.accepted}`);
  t.equal(figures.succeeded, figures.accepted, 'all are delivered');
  t.equal(figures.unfinished + figures.failed, 0);
  t.equal(figures.doubled, 0, 'no receiver accepted a webhook twice');
  t.equal(figures.late, 0, 'no result was recorded twice');
  t.ok(figures.mostOfWorker <= SMALL.maxInFlight, `${figures.mostOfWorker} of a worker`);
  t.equal(
    figures.mostPinned,
    PINNED_TO,
    'the limit of a subscription holds in all workers together',
  );
  const [healthy, ...failing] = figures.kinds;
  t.equal(failing.length, KINDS.length - 1);
  t.equal(healthy?.failedRequests, 0);
  t.ok((healthy?.waitedP99 ?? Infinity) < 10, `healthy ones wait for ${healthy?.waitedP99} ms`);
  for (const { kind, receivers, accepted } of failing)
    t.ok(receivers > 0 && accepted > 0, `${kind}: ${receivers} receivers, ${accepted} webhooks`);
  const refusing = failing.find(({ kind }) => kind === 'refuses connections');
  t.ok((refusing?.mostHeld ?? 0) > 0.8 * (refusing?.accepted ?? 0), 'its webhooks are held');
});

t.test('the same seed simulates the same, another one something else', async (t) => {
  const short = { ...SMALL, minutes: 2, afterMinutes: 0 };
  const [first, second] = [await simulate(short), await simulate(short)];
  t.strictSame(first, second);
  t.notSame((await simulate({ ...short, seed: 2 })).accepted, first.accepted);
});
