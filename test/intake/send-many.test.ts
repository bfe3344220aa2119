// Webhooks of one type that are sent together take a statement of their own (schema/functions/store_webhooks.sql).
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';

/** Subscriptions, as columns of posthorn.subscriptions; the statement stores webhooks for some of them only. */
const SUBSCRIPTIONS = {
  none: [],
  one: ['{order.*}, null, null, null'],
  'some of several': [
    '{order.*,order.paid}, null, null, null',
    '{order.paid}, {a}, null, null',
    '{order.paid}, {b}, null, null',
    '{user}, null, null, null',
    'null, null, null, null',
  ],
  'one with a filter': ['{order.*}, null, $.id > 3, null', '{order.*}, null, null, null'],
  'one whose deliveries are held': ['{order.*}, null, null, 3', '{order.*}, null, null, null'],
} as const;
/** Numbers of webhooks; jobs have up to 25 deliveries. */
const NUMBERS = [2, 40];

for (const [name, subscriptions] of Object.entries(SUBSCRIPTIONS))
  t.test(`webhooks are stored alike, together and one by one: ${name}`, async (t) => {
    const client = await connect(t, await createTestDatabase(t));
    for (const [n, columns] of subscriptions.entries()) {
      const values = columns.split(', ').map((text) => (text === 'null' ? null : text));
      await client.query(
        `insert into posthorn.subscriptions (url, event_types, channels, filter, max_in_flight) values ($1, $2, $3, $4, $5)`,
        [`https://a.example/${n}`, ...values],
      );
    }
    /** Returns what the statement has stored, in the order of the webhooks. */
    const stored = async (sql: string, values: readonly unknown[]) => {
      await client.query('begin');
      const { rows } = await client.query<{ ids: string[] }>(sql, [...values]);
      const ids = rows[0]?.ids ?? [];
      const webhooks = await client.query(
        `select p.event_type, p.tenant, p.content_type, p.channels, p.ordering_key, p.headers, p.deliver_at, p.unfilterable,
           regexp_replace(convert_from(p.body, 'UTF8'), '"timestamp":"[^"]*"', '') as body,
           abs(extract(epoch from p.accepted_at - clock_timestamp())) < 60 as is_new,
           array(select d.subscription_id || ' ' || d.state || ' ' || d.queued || ' ' || d.attempt_count
             from posthorn.deliveries d where d.webhook_id = p.id order by 1) as deliveries
         from unnest($1::uuid[]) with ordinality as i (id, nth) join posthorn.webhook_payloads p using (id) order by i.nth`,
        [ids],
      );
      const jobs = await client.query<{ webhook: string; subscription: number }>(
        `select w.webhook, s.subscription::integer from graphile_worker._private_jobs j,
           json_array_elements_text(j.payload -> 'webhooks') with ordinality as w (webhook, nth)
           join json_array_elements_text(j.payload -> 'subscriptions') with ordinality as s (subscription, nth) using (nth)`,
      );
      await client.query('rollback');
      t.strictSame([...ids].sort(), ids, 'the ids ascend');
      return {
        webhooks: webhooks.rows,
        jobs: jobs.rows.map((row) => `${ids.indexOf(row.webhook)} ${row.subscription}`).sort(),
      };
    };
    for (const number of NUMBERS)
      for (const channels of [null, ['b']])
        for (const keys of [
          null,
          Array.from({ length: number }, (_, n) => (n % 2 ? `k${n}` : null)),
        ]) {
          const data = Array.from({ length: number }, (_, id) =>
            id === 1 ? null : { id, text: 'é\\"' },
          );
          const together = await stored(
            `select posthorn.send_many(array_fill('order.paid'::text, array[$1::integer]), $2, channels => $3, ordering_keys => $4) as ids`,
            [number, data, channels, keys],
          );
          const alone = await stored(
            `select array_agg(posthorn.send('order.paid', d, channels => $2, ordering_key => k) order by nth) as ids
             from unnest($1::jsonb[], $3::text[]) with ordinality as u (d, k, nth)`,
            [data, channels, keys],
          );
          t.equal(together.webhooks.length, number);
          t.strictSame(
            together,
            alone,
            `${number}, ${channels}, ${keys === null ? 'no' : 'with'} keys`,
          );
        }
  });
