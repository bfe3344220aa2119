import type pg from 'pg';
import { listAttempts } from '../../../src/history/attempts.ts';
import { readChanges, readWatermark } from '../../../src/history/changes.sql.ts';
import { countMinute } from '../../../src/history/count.sql.ts';
import { listDeliveries } from '../../../src/history/deliveries.ts';
import { countDeliveryStates } from '../../../src/history/delivery-states.sql.ts';
import { summarizeHealth } from '../../../src/history/health-summaries.sql.ts';
import { type Position, positionBefore } from '../../../src/history/position.ts';
import { searchOnce } from '../../../src/history/search.ts';
import { readSeries, SERIES_WINDOWS } from '../../../src/history/series.ts';
import { readStats } from '../../../src/history/stats.ts';
import { readFromCounts } from '../../../src/history/stats-from-counts.sql.ts';
import { readWaiting } from '../../../src/history/waiting.sql.ts';
import { findDeliveries, findWebhook } from '../../../src/history/webhook.sql.ts';
import { listWebhooks, type WebhookSearch } from '../../../src/history/webhooks.ts';
import { daysOf, found, type Hot, type Samples } from './samples.ts';

/** Lists: the first page of each and the one after it. */
export function ofHistory({ pending }: Samples): Hot[] {
  const twoPages = async (
    list: (
      after: readonly string[] | undefined,
    ) => Promise<{ rows: readonly unknown[]; next: readonly string[] | null }>,
    least: number,
  ) => {
    const first = await list(undefined);
    found(first, first.rows.length, least);
    if (first.next !== null) await list(first.next);
  };
  const list = (
    what: string,
    page: (
      pool: pg.Pool,
      after: readonly string[] | undefined,
    ) => Promise<{ rows: readonly unknown[]; next: readonly string[] | null }>,
    days?: readonly string[],
    least = 1,
  ): Hot => ({
    what: `list ${what}`,
    pool: 'lists',
    // Two pages, each with as many rows as may be scanned.
    rows: 4_000,
    ...(days === undefined ? {} : { days }),
    run: (pool) => twoPages((after) => page(pool, after), least),
  });
  const [retried] = pending.webhooks as [string];
  const tenant = 'default';
  return [
    list('webhooks', (pool, after) => listWebhooks(pool, { tenant }, 100, after)),
    list('webhooks of a rare type', (pool, after) =>
      listWebhooks(pool, { tenant, eventType: 'rare.type' }, 100, after),
    ),
    ...Object.entries({
      'by channel': { channel: 'none' },
      'of a small tenant by ordering key': { tenant: 'tenant-7', orderingKey: 'none' },
      'by content': { bodyPath: '$.none == 1' },
      'by id': { webhookId: retried },
      'that are pending': { state: 'pending' },
      'that are held': { state: 'held' },
      'that failed': { state: 'failed' },
      'of a small tenant that failed': { tenant: 'tenant-7', state: 'failed' },
      'of a small tenant that succeeded': { tenant: 'tenant-7', state: 'succeeded' },
      'of a subscription': { subscriptionId: 101 },
      'of a subscription by content': { subscriptionId: 101, bodyPath: '$.none == 1' },
      'held for a subscription': { subscriptionId: 2, state: 'held' },
      'failed for a subscription': { subscriptionId: 8, state: 'failed' },
      'with an answer': { responseCode: 503 },
      'with an answer that is not there': { responseCode: 999 },
      'with a success': { responseCode: 200 },
      'with an answer that failed': { responseCode: 500, state: 'failed' },
      'of a subscription with an error': { subscriptionId: 8, errorCode: 'timeout' },
      'of a small tenant with an answer': { tenant: 'tenant-28', responseCode: 500 },
      'with an answer by content': { responseCode: 500, bodyPath: '$.none == 1' },
    } satisfies Record<string, Partial<WebhookSearch>>).map(([what, search]) =>
      list(
        `webhooks ${what}`,
        (pool, after) => searchOnce(pool, { tenant, ...search }, 100, after),
        undefined,
        // Of most of them there are none, which takes longest.
        0,
      ),
    ),
    list('deliveries', (pool, after) => listDeliveries(pool, { tenant }, 100, after)),
    // It has some forty subscriptions, and a page is a few rows of each.
    {
      ...list('deliveries of a small tenant', (pool, after) =>
        listDeliveries(pool, { tenant: 'tenant-7' }, 100, after),
      ),
      rows: 700,
    },
    list('deliveries of a subscription', (pool, after) =>
      listDeliveries(pool, { tenant, subscriptionId: 1 }, 100, after),
    ),
    list(
      'deliveries of a webhook',
      (pool, after) => listDeliveries(pool, { tenant, webhookId: retried }, 100, after),
      daysOf(pending),
    ),
    list('failed deliveries', (pool, after) =>
      listDeliveries(pool, { tenant, state: 'failed' }, 100, after),
    ),
    list('failed deliveries of a subscription', (pool, after) =>
      listDeliveries(pool, { tenant, state: 'failed', subscriptionId: 8 }, 100, after),
    ),
    list('held deliveries', (pool, after) =>
      listDeliveries(pool, { tenant, state: 'held' }, 100, after),
    ),
    list('pending deliveries', (pool, after) =>
      listDeliveries(pool, { tenant, state: 'pending' }, 100, after),
    ),
    list('attempts', (pool, after) => listAttempts(pool, { tenant }, 100, after)),
    {
      ...list('attempts of a small tenant', (pool, after) =>
        listAttempts(pool, { tenant: 'tenant-7' }, 100, after),
      ),
      rows: 700,
    },
    list('attempts of a subscription', (pool, after) =>
      listAttempts(pool, { tenant, subscriptionId: 101 }, 100, after),
    ),
    list('attempts of a webhook', (pool, after) =>
      listAttempts(pool, { tenant, webhookId: retried }, 100, after),
    ),
    list('failed attempts', (pool, after) =>
      listAttempts(pool, { tenant, status: 'failed' }, 100, after),
    ),
    list('failed attempts of a small tenant', (pool, after) =>
      listAttempts(pool, { tenant: 'tenant-28', status: 'failed' }, 100, after),
    ),
    {
      what: 'show a webhook',
      pool: 'general',
      rows: 200,
      days: daysOf(pending),
      async run(pool) {
        found('webhook', (await findWebhook(pool, tenant, retried))?.bytes ?? 0, 1);
        const { deliveries } = await findDeliveries(pool, retried, 100);
        found('deliveries', deliveries.length, 1);
      },
    },
    {
      what: 'summarize the health of a page of subscriptions',
      pool: 'lists',
      // Up to 101 held deliveries of each, and counts of 24 hours.
      rows: 2_000,
      async run(pool) {
        const ids = Array.from({ length: 100 }, (_, n) => n + 1);
        found('summaries', (await summarizeHealth(pool, 'default', ids)).size, 50);
      },
    },
    {
      what: 'the figures of a subscription',
      pool: 'lists',
      rows: 1_000,
      run: (pool) => readStats(pool, 'default', 101, 60_000),
    },
    {
      // Not the figures of a tenant: they count all unfinished deliveries, and these samples have many.
      what: 'the figures of a subscription from counts',
      pool: 'lists',
      rows: 1_000,
      async run(pool) {
        const counted = { from: '-infinity', until: new Date().toISOString() };
        await readFromCounts(pool, tenant, 101, 86_400_000, true, counted);
      },
    },
    {
      what: 'count the states of the deliveries of a page of webhooks',
      pool: 'lists',
      rows: 2_000,
      async run(pool) {
        const { rows } = await listWebhooks(pool, { tenant: 'default' }, 100, undefined);
        const states = await countDeliveryStates(
          pool,
          rows.map(({ webhook_id }) => webhook_id),
        );
        found('webhooks with deliveries', states.size, 50);
      },
    },
    {
      what: 'count the deliveries that wait',
      pool: 'lists',
      // As many as are counted at most.
      rows: 100_000,
      async run(pool) {
        const { held } = await readWaiting(pool, 'default');
        found(
          'held',
          Object.values(held).reduce((sum, number) => sum + number, 0),
          1,
        );
      },
    },
    ...[[tenant], ['tenant-7'], [tenant, 'tenant-7']].map(
      (tenants): Hot => ({
        what: `events of ${tenants.join(' and ')}`,
        pool: 'lists',
        // Of each of three kinds, as many as may be read at once.
        rows: 3 * 2_000,
        async run(pool) {
          await readWatermark(pool);
          const [from, to] = [Date.now() - 3 * 86_400_000, Date.now()].map((ms) =>
            positionBefore(ms * 1000),
          ) as [Position, Position];
          const wanted = { tenants, subscriptionIds: [7], rows: 2_000 };
          const changes = await readChanges(pool, wanted, from, to);
          const { webhooks, deliveries, attempts } = changes;
          found('changes', webhooks.length + deliveries.length + attempts.length, 1);
        },
      }),
    ),
    {
      what: 'count a minute',
      pool: 'general',
      // Webhooks, deliveries and attempts of two minutes, three hours ago.
      rows: 1_500,
      async run(pool) {
        await pool.query(
          `with marked as (
             insert into posthorn.commit_marks (xid, at) values ('3', now() - interval '2 hours')
           )
           update posthorn.counting set counted_until = date_trunc('minute', now() - interval '3 hours')`,
        );
        found('minutes', Number(await countMinute(pool)), 1);
      },
    },
    ...(Object.keys(SERIES_WINDOWS) as (keyof typeof SERIES_WINDOWS)[]).flatMap((window) =>
      [null, 101].map(
        (subscription): Hot => ({
          what: `the series of ${window} of ${subscription === null ? 'a tenant' : 'a subscription'}`,
          pool: 'general',
          rows: 1_000,
          run: (pool) => readSeries(pool, 'default', subscription, window),
        }),
      ),
    ),
  ];
}
