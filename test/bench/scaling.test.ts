import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import t from 'tap';
import { type Cost, fitCost, fitCosts } from '../../bench/scaling/costs.ts';
import { usesOf } from '../../bench/scaling/limits.ts';
import { PAGE, readRun, withTables } from '../../bench/scaling/page.ts';
import { planFor, type Workload } from '../../bench/scaling/plan.ts';
import { ASSUMPTIONS, DISK, MACHINE, ORDINARY, PRICES } from '../../bench/scaling/reference.ts';
import { checksOf } from '../../bench/scaling/tables.ts';

const run = readRun();
const costs = fitCosts(run);
const plan = (workload: Partial<Workload>) =>
  planFor({ ...ORDINARY, webhooksPerSecond: 1_000, ...workload }, costs, DISK, ASSUMPTIONS, PRICES);

t.test('docs/scaling.md has the tables of the model', async (t) => {
  const page = readFileSync(PAGE, 'utf8');
  t.equal(page, withTables(page, run), 'write them by: node bench/scaling/main.ts');
  t.throws(() => withTables('', run), /lacks the tables/);
});

t.test('the model is near to what was measured, also where it was not fitted', async (t) => {
  const { fitted, heldOut } = checksOf(run, costs);
  t.ok(fitted.length >= 9 && heldOut.length >= 15);
  for (const { name, what, predicted, measured } of fitted)
    t.ok(Math.abs(predicted / measured - 1) < 0.1, `${name}, ${what}: ${predicted}, ${measured}`);
  for (const { name, what, predicted, measured } of heldOut) {
    const ratio = predicted / measured;
    t.ok(ratio > 0.75 && ratio < 1.7, `${name}, ${what}: ${predicted}, ${measured}`);
  }
});

t.test('a fit finds the costs that made its points', async () => {
  const cost = fc.record({
    perWebhook: fc.double({ min: 0.1, max: 100, noNaN: true }),
    perDelivery: fc.double({ min: 0.1, max: 100, noNaN: true }),
  });
  fc.assert(
    fc.property(cost, ({ perWebhook, perDelivery }: Cost) => {
      const points = [1, 7, 50].map((deliveries) => ({
        deliveries,
        perDelivery: perWebhook / deliveries + perDelivery,
      }));
      const found = fitCost(points);
      const isNear = (a: number, b: number) => Math.abs(a / b - 1) < 1e-6;
      return isNear(found.perWebhook, perWebhook) && isNear(found.perDelivery, perDelivery);
    }),
  );
});

t.test(
  'twice the webhooks need twice of everything but processes, and never less of these',
  async () => {
    fc.assert(
      fc.property(
        fc.record({
          webhooksPerSecond: fc.integer({ min: 1, max: 100_000 }),
          deliveriesPerWebhook: fc.double({ min: 0, max: 50, noNaN: true }),
          attemptsPerDelivery: fc.double({ min: 1, max: 3, noNaN: true }),
          bodyBytes: fc.integer({ min: 1, max: 1_000_000 }),
          answerMs: fc.integer({ min: 1, max: 15_000 }),
          retentionDays: fc.integer({ min: 1, max: 400 }),
        }),
        (workload) => {
          const one = plan(workload);
          const two = plan({ ...workload, webhooksPerSecond: 2 * workload.webhooksPerSecond });
          const isTwice = (a: number, b: number) => Math.abs(b - 2 * a) <= 1e-9 * b;
          return (
            isTwice(one.serviceCores, two.serviceCores) &&
            isTwice(one.postgresCores, two.postgresCores) &&
            isTwice(one.walBytesPerSecond, two.walBytesPerSecond) &&
            isTwice(one.diskBytes, two.diskBytes) &&
            isTwice(one.dollars.cores, two.dollars.cores) &&
            two.apiProcesses >= one.apiProcesses &&
            two.workerProcesses >= one.workerProcesses &&
            two.connections <= 2 * one.connections
          );
        },
      ),
    );
  },
);

t.test('slow receivers need more workers, and no more of Postgres', async (t) => {
  const quick = plan({ answerMs: 20 });
  const slow = plan({ answerMs: 10_000 });
  t.equal(slow.postgresCores, quick.postgresCores);
  // 1,000 webhooks a second for two receivers of ten seconds each.
  t.equal(Math.round(slow.requestsInFlight), 20_800);
  t.ok(slow.workerProcesses > 20 && quick.workerProcesses < 5);
});

t.test(
  'a shorter retention saves disk alone, and the scarcest resource is named first',
  async (t) => {
    const month = plan({ webhooksPerSecond: 5_000 });
    const week = plan({ webhooksPerSecond: 5_000, retentionDays: 7 });
    t.ok(Math.abs(week.diskBytes / month.diskBytes - 7 / 30) < 1e-9);
    t.equal(week.postgresCores, month.postgresCores);
    const uses = usesOf(month, MACHINE, ASSUMPTIONS);
    t.strictSame(
      uses.map(({ share }) => share),
      uses.map(({ share }) => share).toSorted((a, b) => b - a),
    );
    t.equal(uses[0]?.resource, 'disk space');
  },
);
