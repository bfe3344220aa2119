import { parseRetrySchedule } from '../../../src/deliveries/retry-schedule.ts';
import { listProblems } from '../../../src/why/receiver-problems.ts';
import { explainDelivery } from '../../../src/why/why.ts';
import { daysOf, found, type Hot, type Keys, type Samples } from './samples.ts';

const SCHEDULE = parseRetrySchedule('5s,5m');

/** Why deliveries are in their states, and the problems of receivers. */
export function ofWhy({ pending, ended, heldStrict }: Samples): Hot[] {
  const why = (what: string, keys: Keys, rows: number, days?: readonly string[]): Hot => ({
    what: `explain ${what}`,
    pool: 'lists',
    rows,
    ...(days === undefined ? {} : { days }),
    async run(pool) {
      const [webhook] = keys.webhooks as [string];
      const [subscription] = keys.subscriptions as [number];
      const { rows } = await pool.query<{ tenant: string }>(
        'select tenant from posthorn.subscriptions where id = $1',
        [subscription],
      );
      const explained = await explainDelivery(
        pool,
        rows[0]?.tenant ?? '',
        webhook,
        subscription,
        SCHEDULE,
      );
      found(explained, Number(explained !== undefined), 1);
    },
  });
  const problems = (what: string, days: number, tenant: string, subscriptionId?: number): Hot => ({
    what: `list the problems of ${what} of ${days} days`,
    pool: 'lists',
    // 10,000 attempts, each with its delivery.
    rows: 10_000,
    async run(pool) {
      const page = await listProblems(
        pool,
        { tenant, subscriptionId, windowMs: days * 86_400_000 },
        100,
        undefined,
      );
      found(page, page.rows.length, 1);
      if (page.next !== null)
        await listProblems(
          pool,
          { tenant, subscriptionId, windowMs: days * 86_400_000 },
          100,
          page.next,
        );
    },
  });
  return [
    ...[1, 7].flatMap((days) => [
      problems('a tenant', days, 'default'),
      problems('a small tenant', days, 'tenant-28'),
      problems('a subscription', days, 'default', 8),
    ]),
    why('a delivery that waits for a retry', pending, 10, daysOf(pending)),
    why('a delivery that has ended', ended, 10, daysOf(ended)),
    // 10,001 entries of the index are counted, and 4,000 keys are read, with a row of deliveries and a payload each.
    why('a delivery behind a long backlog in strict order', heldStrict, 10_000),
  ];
}
