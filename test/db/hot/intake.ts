import { tryFilter } from '../../../src/history/try-filter.ts';
import { acceptWebhooks, type IncomingWebhook } from '../../../src/intake/accept.sql.ts';
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
  headers: null,
  deliverAt: null,
  body: Buffer.from('{}'),
  dataStart: 0,
  idempotency: null,
  ...more,
});

/** An event type that three of a tenant's very many subscriptions want, and an operational type that none wants. */
const RARE = [
  { eventType: 'rare.type', channels: null, wanted: 3 },
  { eventType: 'common.type', channels: ['rare', 'absent'], wanted: 3 },
  { eventType: 'absent.type', channels: ['rare', 'busy'], wanted: 0 },
];

/** Statements that run for each request of a client. */
export function ofIntake(): Hot[] {
  return [
    {
      what: 'accept webhooks to subscriptions',
      pool: 'intake',
      // Its first call in a session reads the catalogue too.
      rows: 25,
      run: (pool) =>
        acceptWebhooks(
          pool,
          Array.from({ length: 20 }, (_, n) => webhookTo(200 + n)),
          { bulk: false, apart: false },
        ),
    },
    {
      what: 'accept webhooks that are scheduled, for soon and for later',
      pool: 'intake',
      rows: 40,
      run: (pool) =>
        acceptWebhooks(
          pool,
          Array.from({ length: 20 }, (_, n) =>
            webhookTo(200 + n, { deliverAt: new Date(Date.now() + (n + 1) * 10_000) }),
          ),
          { bulk: false, apart: false },
        ),
    },
    {
      what: 'accept webhooks by the general statement, as one of the subscriptions does not exist',
      pool: 'intake',
      rows: 40,
      run: async (pool) => {
        const { answers } = await acceptWebhooks(
          pool,
          [2_000_000_000, ...Array.from({ length: 19 }, (_, n) => 200 + n)].map((id) =>
            webhookTo(id),
          ),
          { bulk: false, apart: false },
        );
        found(answers, answers.filter((answer) => answer !== null).length, 19);
      },
    },
    {
      what: 'accept webhooks by event type, with keys',
      pool: 'intake',
      // Two webhooks to 36 subscriptions each.
      rows: 72,
      run: async (pool) => {
        const {
          answers: [accepted],
        } = await acceptWebhooks(
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
    ...RARE.flatMap(({ eventType, channels, wanted }): Hot[] => [
      {
        what: `accept ${eventType} on ${channels} for the few subscriptions of very many that want it`,
        pool: 'intake',
        rows: wanted,
        async run(pool) {
          const webhook = webhookTo(null, { tenant: 'crowd', eventType, channels });
          const {
            answers: [accepted],
          } = await acceptWebhooks(pool, [webhook], { bulk: false, apart: false });
          const deliveries = typeof accepted === 'object' ? (accepted?.deliveries ?? 0) : 0;
          found(accepted, deliveries, wanted);
        },
      },
      {
        what: `send ${eventType} on ${channels} in SQL to the few subscriptions of very many that want it`,
        pool: 'general',
        // Its first call in a session reads the catalogue too.
        rows: 40,
        run: (pool) =>
          pool.query(`select posthorn.send($1, '{}', tenant => 'crowd', channels => $2)`, [
            eventType,
            channels,
          ]),
      },
      {
        what: `send ten of ${eventType} on ${channels} together in SQL`,
        pool: 'general',
        rows: 40 + 10 * wanted,
        run: async (pool) => {
          const { rows } = await pool.query(
            `select posthorn.send_many(array_fill($1::text, '{10}'), array_fill('{}'::jsonb, '{10}'),
               tenant => 'crowd', channels => $2) as ids`,
            [eventType, channels],
          );
          found(rows, rows[0].ids.length, 10);
        },
      },
    ]),
    {
      what: 'try a filter on the latest webhooks of a tenant that has none',
      pool: 'general',
      rows: 1_000,
      run: (pool) =>
        tryFilter(pool, 'tenant-5', { filter: '$.a', event_types: null, channels: null }),
    },
  ];
}
