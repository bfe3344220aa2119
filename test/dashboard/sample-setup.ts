// What the sample service is set up with: its catalogue, tenants, keys and a bulk operation, and a day of counts.
import type pg from 'pg';

// biome-ignore lint/suspicious/noExplicitAny: answers whose shape the API promises
type Request = (method: string, path: string, body?: object) => Promise<any>;

const ORDER = {
  name: 'order.created',
  description: 'A customer placed an order. It is sent once, when the payment is authorized.',
  schema: {
    type: 'object',
    required: ['order', 'customer', 'lines', 'total'],
    properties: {
      order: { type: 'integer', description: 'The number of the order, as customers see it.' },
      customer: {
        type: 'object',
        description: 'Who placed it.',
        required: ['id', 'email'],
        properties: { id: { type: 'string' }, email: { type: 'string', format: 'email' } },
      },
      lines: { type: 'array', minItems: 1, items: { $ref: '#/$defs/line' } },
      total: {
        type: 'number',
        minimum: 0,
        description: 'In the currency of the shop, with taxes and shipping.',
      },
      test: { type: 'boolean', description: 'Nothing is delivered or paid.', default: false },
    },
    $defs: {
      line: {
        type: 'object',
        required: ['sku', 'quantity', 'price'],
        properties: {
          sku: { type: 'string', description: 'The number of the product.' },
          quantity: { type: 'integer', minimum: 1 },
          price: { type: 'string', pattern: '^\\d+\\.\\d{2}$', description: 'For one of them.' },
        },
      },
    },
  },
  example: {
    order: 4_100,
    customer: { id: 'c_70', email: 'ada@example.com' },
    lines: [{ sku: 'HORN-1', quantity: 2, price: '149.00' }],
    total: 298,
    test: false,
  },
};
const OTHERS = {
  'order.paid': 'The money has arrived.',
  'invoice.finalized': 'An invoice can no longer be changed.',
  'customer.updated': 'A customer changed their address or their name.',
};

/** Sets the sample up, and starts a replay to a subscription that takes a while. */
export async function setUpSample(
  request: Request,
  client: pg.Client,
  subscriptionId: number,
): Promise<void> {
  await request('POST', '/v1/event-types', ORDER);
  for (const [name, description] of Object.entries(OTHERS))
    await request('POST', '/v1/event-types', { name, description });
  await request('POST', '/v1/tenants', { id: 'acme', name: 'Acme Inc.', retention: '7d' });
  await request('POST', '/v1/tenants', { id: 'globex', name: 'Globex Corporation' });
  for (const [name, scopes] of Object.entries({ shop: ['send'], console: ['manage', 'send'] }))
    await request('POST', '/v1/keys', { name, scopes });
  await request('POST', '/v1/keys', { name: 'acme', tenant: 'acme', scopes: ['read'] });
  await request('POST', `/v1/subscriptions/${subscriptionId}/replay`, {
    since: new Date(Date.now() - 3_600_000).toISOString(),
    states: ['succeeded'],
    rate: 1,
  });
  await client.query(COUNTS);
  await client.query(WATCHES);
}

/** Watched tables; one of them has a row that could not be sent. */
const WATCHES = `
  create table public.orders (id integer primary key, customer text, total numeric);
  create table public.invoices (id integer primary key, total numeric);
  select posthorn.watch('public.orders', ops => '{insert,update}', "when" => 'new.total > 100', ordering_key => 'pk'),
    posthorn.watch('public.invoices', event_type => 'invoice', on_error => 'skip', "when" => '1000 / new.total < 10');
  insert into public.invoices values (1, 0)`;

/** A day of counts of each subscription, as if they had been counted: the third fails since three hours. */
const COUNTS = `
  insert into posthorn.counts_by_hour (tenant, subscription_id, hour, accepted, success, failed, timeout, blocked, duration_classes, duration_numbers)
  select 'default', s, date_trunc('hour', now(), 'UTC') - h * interval '1 hour', n,
    case when fails then 0.02 * n else n end, case when fails then n else 0.02 * n end, 0, 0, '{8}', array[1.02 * n]::bigint[]
  from generate_series(0, 23) as h, generate_series(1, 3) as s,
    lateral (values ((900 + 500 * sin((h + 5 * s) / 4.0) + 90 * sin(h * 1.7)) / s, s = 3 and h < 3)) as numbers (n, fails)
  on conflict (tenant, subscription_id, hour) do update set success = excluded.success, failed = excluded.failed`;
