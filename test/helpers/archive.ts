import { join } from 'node:path';
import type pg from 'pg';
import type { Test } from 'tap';
import { startCli } from './cli.ts';
import { connect, createTestDatabase } from './database.ts';

const name = (day: Date) => day.toISOString().slice(0, 10);

/** SQL for ids of webhook `n` at a moment of a day. */
export const idAt = (at: string) =>
  `overlay(posthorn.uuidv7_floor(${at})::text placing lpad(to_hex(n), 12, '0') from 25 for 12)::uuid`;

/** Two tenants, and for each of these days `count` webhooks, with a delivery and its attempts each. */
async function fill(client: pg.Client, days: readonly Date[], count: number): Promise<void> {
  await client.query(`
    insert into posthorn.tenants (id) values ('acme');
    insert into posthorn.subscriptions (url, tenant) values ('https://a.example/', 'default'), ('https://b.example/', 'acme')`);
  // Of the day before, if the database was made before midnight (UTC).
  const { rows: ended } = await client.query<{ name: string }>(
    `select name from posthorn.list_partitions()
     where parent <> 'idempotency_keys' and until_at <= date_trunc('day', now() at time zone 'UTC') at time zone 'UTC'`,
  );
  for (const { name } of ended) await client.query(`drop table posthorn.${name}`);
  for (const day of days) {
    await client.query('select posthorn.ensure_partitions($1::date, $1::date)', [name(day)]);
    await client.query(
      `with made as (
         select n, at, ${idAt('at')} as id
         from (select n, $1::timestamptz + n * interval '1 second 1 microsecond' as at from generate_series(1, $2::integer) n) m
       ), w as (
         insert into posthorn.webhook_payloads
           (id, accepted_at, tenant, event_type, content_type, channels, ordering_key, headers, body)
         select id, at, case n % 3 when 0 then 'acme' else 'default' end, case when n % 7 > 0 then 'order.creäted' end,
           'application/json', case n % 4 when 0 then array['a', 'b "c"'] when 1 then '{}' end,
           case when n % 5 = 0 then 'key' end, case when n % 6 = 0 then '{"x-source":"1"}'::jsonb end,
           case when n % 10 = 0 then '\\xff00fe80'::bytea else convert_to('{"n":' || n || '}', 'UTF8') end
         from made
       ), d as (
         insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, ended_at, next_attempt_at)
         select id, 1 + (n % 3 = 0)::integer, 'succeeded', 2, at + interval '1 minute', null from made
       )
       insert into posthorn.delivery_attempts
         (webhook_id, subscription_id, at, duration_ms, attempt_number, response_code, status, error_code, error, response_excerpt)
       select id, 1 + (n % 3 = 0)::integer, at + k * interval '1 second', 12, k, case k when 2 then 200 end,
         case k when 1 then 'failed' else 'success' end::posthorn.attempt_status, case k when 1 then 'connect' end,
         case k when 1 then 'No answer.' end, case k when 2 then 'thanks' end
       from made, generate_series(1, 2) k`,
      [day, count],
    );
  }
}

/** A database with history of two tenants, a folder, and `posthorn export --to` that folder. */
export async function startWithHistory(t: Test, days: readonly Date[] = [], count = 20) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await fill(client, days, count);
  const dir = join(t.testdir({}), 'archive');
  const run = async (...args: string[]) => {
    const cli = await startCli(t, ['export', '--to', dir, ...args], { DATABASE_URL: databaseUrl });
    const code = await cli.exited;
    return { code, ...cli.output };
  };
  return { databaseUrl, client, dir, run };
}
