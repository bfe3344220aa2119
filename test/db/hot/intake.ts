import { acceptWebhooks, type IncomingWebhook } from '../../../src/intake/accept.sql.ts';
import { tryFilter } from '../../../src/subscriptions/filter.ts';
import { found, type Hot } from './samples.ts';

const webhookTo = (
  subscriptionId: number | null,
  more: Partial<IncomingWebhook> = {},
): IncomingWebhook => ({
  subscriptionId,
  tenant: 'default',
  eventType: null,
  channels: null,
  orderingKey: null,
  contentType: 'application/json',
  body: Buffer.from('{}'),
  dataStart: 0,
  idempotency: null,
  ...more,
});

/** Statements that run for each request of a client. */
export function ofIntake(): Hot[] {
  return [
    {
      what: 'accept webhooks to subscriptions',
      pool: 'intake',
      rows: 20,
      run: (pool) =>
        acceptWebhooks(
          pool,
          Array.from({ length: 20 }, (_, n) => webhookTo(200 + n)),
          { bulk: false, apart: false },
        ),
    },
    {
      what: 'accept webhooks by event type, with keys',
      pool: 'intake',
      // The subscriptions of a tenant are read as a whole, and each webhook goes to a third of them.
      rows: 200,
      run: async (pool) => {
        const [accepted] = await acceptWebhooks(
          pool,
          [1, 2].map((n) =>
            webhookTo(null, {
              tenant: 'tenant-4',
              eventType: 'order.created',
              idempotency: { key: `key ${n}`, fingerprint: Buffer.alloc(32, n) },
            }),
          ),
          { bulk: false, apart: false },
        );
        const deliveries = typeof accepted === 'object' ? (accepted?.deliveries ?? 0) : 0;
        found(accepted, deliveries, 10);
      },
    },
    {
      what: 'try a filter on the latest webhooks of a tenant that has none',
      pool: 'general',
      rows: 1_000,
      run: (pool) =>
        tryFilter(pool, 'tenant-5', { filter: '$.a', event_types: null, channels: null }),
    },
  ];
}
