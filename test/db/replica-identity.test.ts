import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

// A publication FOR ALL TABLES feeds a data warehouse. While there is one, Postgres refuses updates and deletes
// of tables whose rows it could not name to the subscriber. (It does so whatever wal_level is.)

t.test('every table has a replica identity, each partition too', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  const { rows } = await client.query<{ name: string; identity: boolean }>(
    `select c.relname as name,
       case c.relreplident
         when 'f' then true
         when 'd' then exists (select from pg_index i where i.indrelid = c.oid and i.indisprimary and i.indisvalid)
         when 'i' then exists (select from pg_index i where i.indrelid = c.oid and i.indisreplident and i.indisvalid)
         else false
       end as identity
     from pg_class c
     where c.relnamespace in ('posthorn'::regnamespace, 'graphile_worker'::regnamespace)
       and c.relkind in ('r', 'p')`,
  );
  t.ok(rows.length > 50, `${rows.length} tables`);
  const without = rows.filter(({ identity }) => !identity).map(({ name }) => name);
  // Rows are only in its partitions, which have theirs: a unique index of the whole would contain the time.
  t.strictSame(without, ['idempotency_keys']);
});

t.test('with a publication for all tables, sending and all maintenance work', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query('create publication warehouse for all tables');
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end('answer');
  });
  await client.query(`select posthorn.ensure_partitions(current_date - 41, current_date)`);
  const posthorn = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_RETENTION: '30d',
    POSTHORN_PAYLOAD_RETENTION: '3d',
  });
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    event_types: ['*'],
  });
  const { id } = json;
  await posthorn.ingest(id);
  await receiver.waitFor(2);
  await client.query(`select posthorn.send_many('{a,b}', '{1,2}', idempotency_key => 'k')`);
  const { status } = await posthorn.request(
    'POST',
    '/v1/webhooks',
    { event_type: 'a', data: {} },
    {
      'idempotency-key': 'l',
    },
  );
  t.equal(status, 202);
  await receiver.waitFor(5);

  const aged = (days: number) =>
    client.query(
      `with w as (
         insert into posthorn.webhook_payloads (id, content_type, body)
         values (posthorn.uuidv7_floor(now() - $1 * interval '1 day'), 'application/json', '{}')
         returning id
       ), d as (
         insert into posthorn.deliveries (webhook_id, subscription_id, state) select id, $2, 'succeeded' from w
       )
       insert into posthorn.delivery_attempts
         (webhook_id, subscription_id, attempt_number, status, duration_ms, response_excerpt)
       select id, $2, 1, 'success', 1, 'answer' from w`,
      [days, id],
    );
  await aged(5);
  await aged(40);
  await client.query(`
    insert into posthorn.overdue_bodies (webhook_id) select id from posthorn.webhook_payloads order by id limit 1;
    insert into posthorn.tasks (tenant, kind, state, since_id, until_id, states, ended_at)
      values ('default', 'replay', 'succeeded', posthorn.uuidv7(), posthorn.uuidv7(), '{}', now() - interval '40 days')`);
  // The hourly job: partitions, tasks, bodies and indexes.
  await client.query(`select graphile_worker.add_job('keep_partitions')`);
  await until('all maintenance is done', async () => {
    const { rows } = await client.query(
      `select (select count(response_excerpt) from posthorn.delivery_attempts where webhook_id < posthorn.uuidv7_floor(now() - interval '3 days'))
         + (select count(body) from posthorn.webhook_payloads where id < posthorn.uuidv7_floor(now() - interval '3 days'))
         + (select count(*) from posthorn.overdue_bodies)
         + (select count(*) from posthorn.tasks)
         + (select count(*) from posthorn.webhook_payloads where id < posthorn.uuidv7_floor(now() - interval '30 days'))
         as left`,
    );
    return Number(rows[0].left) === 0;
  });
  const deleted = await posthorn.request('DELETE', `/v1/subscriptions/${id}`);
  t.equal(deleted.status, 200);
  const { rows } = await client.query(
    'select last_error from graphile_worker._private_jobs where last_error is not null',
  );
  t.strictSame(rows, [], 'no job has failed');
});
