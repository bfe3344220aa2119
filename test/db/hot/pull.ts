import type pg from 'pg';
import { inTransaction } from '../../../src/db/transaction.ts';
import {
  endOverdueLeases,
  leaseDeliveries,
  lookAtLeases,
} from '../../../src/deliveries/leases.sql.ts';
import { acknowledge } from '../../../src/pull/acknowledge.ts';
import { found, type Hot, type Samples } from './samples.ts';

const ALL = { most: 100, maxBytes: 1_000_000, leaseMs: 60_000 };
const DELIVERED = {
  status: 'success',
  responseCode: null,
  errorCode: null,
  error: null,
  responseExcerpt: null,
} as const;

/** Statements of subscriptions whose receivers pull, behind the longest backlogs. */
export function ofPulling({ held }: Samples): Hot[] {
  const pulled = (pool: pg.Pool) =>
    pool.query('update posthorn.subscriptions set url = null where id in (1, 500)');
  return [
    {
      what: 'lease deliveries',
      pool: 'lists',
      rows: 200,
      run: async (pool) => {
        await pulled(pool);
        await pool.query(
          `insert into posthorn.backlogs (subscription_id) values (2) on conflict do nothing`,
        );
        await pool.query(
          'update posthorn.subscriptions set url = null, max_in_flight = null where id = 2',
        );
        const { deliveries } = await leaseDeliveries(pool, 2, ALL);
        found(deliveries, deliveries.length, 100);
      },
    },
    {
      what: 'lease deliveries in strict order',
      pool: 'lists',
      // The keys of a thousand, with their payloads.
      rows: 1_000,
      run: async (pool) => {
        await pulled(pool);
        const { deliveries } = await leaseDeliveries(pool, 1, ALL);
        found(deliveries, deliveries.length, 100);
      },
    },
    {
      what: 'acknowledge deliveries, and end leases',
      pool: 'general',
      rows: 25,
      run: async (pool) => {
        await pool.query(
          `insert into posthorn.leases (subscription_id, webhook_id, attempt_number, token, ends_at)
           select subscription_id, webhook_id, 1, 7, now()
           from unnest($1::uuid[], $2::integer[]) as h (webhook_id, subscription_id)`,
          [held.webhooks, held.subscriptions],
        );
        const [webhookId = ''] = held.webhooks;
        const [subscriptionId = 0] = held.subscriptions;
        const acknowledged = [{ webhookId, token: 7, outcome: DELIVERED }];
        const options = { schedule: [1_000], onAttempt() {} };
        for (const time of ['once', 'again']) {
          const ended = await acknowledge(pool, subscriptionId, acknowledged, options);
          found(time, 1 - ended.length, 1);
        }
        found('overdue', Number((await lookAtLeases(pool)).overdue), 1);
        const overdue = await inTransaction(pool, (client) => endOverdueLeases(client, 100));
        found(overdue, overdue.length, 24);
      },
    },
  ];
}
