// Sending must not make an application's own transactions fail: beside each other, transactions that insert a row
// and send succeed wherever they would succeed without sending.
import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';

const CLIENTS = 8;
const EACH = 40;

const SENDS: Readonly<Record<string, (key: string) => [sql: string, ...values: unknown[]]>> = {
  nothing: () => ['select 1'],
  'by type': () => [`select posthorn.send('order.created', '{"id": 7}')`],
  'by type, with a key': (key) => [
    `select posthorn.send('order.created', '{"id": 7}', idempotency_key => $1)`,
    key,
  ],
  'to a subscription': () => [
    `select posthorn.send('order.created', '{"id": 7}', subscription_id => 1)`,
  ],
  'to a subscription, with a key': (key) => [
    `select posthorn.send('order.created', '{"id": 7}', subscription_id => 1, idempotency_key => $1)`,
    key,
  ],
  'to a subscription that holds': () => [
    `select posthorn.send('order.created', '{"id": 7}', subscription_id => 2)`,
  ],
  'scheduled, as text': () => [
    `select posthorn.send_json('order.created', '7', deliver_at => now() + interval '1 minute')`,
  ],
  'raw, with a key': (key) => [
    `select posthorn.send_raw('7', event_type => 'order.created', idempotency_key => $1)`,
    key,
  ],
  'many by type': () => [
    `select posthorn.send_many('{order.created,order.paid,order.paid}', array['1', '2', '3']::jsonb[])`,
  ],
  'many to a subscription, with a key': (key) => [
    `select posthorn.send_many('{order.created,order.paid}', array['1', '2']::jsonb[], subscription_id => 1,
       idempotency_key => $1)`,
    key,
  ],
};

/** The SQLSTATEs of the transactions that fail, and how often, when all clients insert and send at once. */
async function failures(
  clients: readonly pg.Client[],
  isolation: string,
  send: (typeof SENDS)[string],
): Promise<Record<string, number>> {
  const failed: Record<string, number> = {};
  await Promise.all(
    clients.map(async (client) => {
      for (let nth = 0; nth < EACH; nth++) {
        try {
          const [text, ...values] = send(randomUUID());
          await client.query(`begin isolation level ${isolation}`);
          await client.query('insert into orders (total) values ($1)', [nth]);
          await client.query(text, values);
          await client.query('commit');
        } catch (error) {
          await client.query('rollback');
          const { code = 'none' } = error as pg.DatabaseError;
          failed[code] = (failed[code] ?? 0) + 1;
        }
      }
    }),
  );
  return failed;
}

t.test('transactions that send fail only where they would fail without sending', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const clients = await Promise.all(Array.from({ length: CLIENTS }, () => connect(t, databaseUrl)));
  const [client] = clients as [pg.Client];
  await client.query(
    'create table orders (id integer generated always as identity, total integer)',
  );
  await client.query(
    `insert into posthorn.subscriptions (url, event_types, max_in_flight) values
       ('http://a.example/', '{order.*}', null), ('http://b.example/', '{}', 1)`,
  );
  // The service has created it, unless this is its first day.
  for (const isolation of ['serializable', 'repeatable read'])
    for (const [name, send] of Object.entries(SENDS))
      t.strictSame(await failures(clients, isolation, send), {}, `${isolation}, ${name}`);
});
