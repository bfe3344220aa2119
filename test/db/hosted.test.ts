// Hosted Postgres gives no superuser, no event triggers, no untrusted languages, and only some extensions. What a
// role there may do is at least this: create in its own database, and create roles.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { migrate } from '../../src/db/migrate.ts';
import { createPool } from '../../src/db/pool.ts';
import { makeMissingIndexes } from '../../src/maintenance/indexes.ts';
import { keepPartitions } from '../../src/maintenance/retention.ts';
import { certify } from '../helpers/certificates.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createLogin, revokeFromPublic } from '../helpers/roles.ts';
import { startTestService } from '../helpers/service.ts';
import { startTlsForwarder } from '../helpers/tls-forwarder.ts';
import { until } from '../helpers/until.ts';

const DAY_MS = 86_400_000;

/** An empty database, and its URL with a role as hosted services give it. */
async function createHostedDatabase(t: Test, options = '') {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const admin = await connect(t, databaseUrl);
  const database = await revokeFromPublic(admin);
  const role = await createLogin(
    t,
    admin,
    `nosuperuser noreplication nobypassrls nocreatedb ${options}`,
  );
  await admin.query(`grant connect, create on database ${database} to ${role.name}`);
  return { admin, database, url: role.url(databaseUrl) };
}

t.test(
  'a role that may only create in its own database installs and runs everything',
  async (t) => {
    const { admin, url } = await createHostedDatabase(t);
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t, { DATABASE_URL: url });
    const id = await posthorn.subscribe(receiver.url);
    const sent = await posthorn.ingest(id);
    const client = await connect(t, url);
    const { rows } = await client.query(
      `select posthorn.send('order.created', '{}', subscription_id => $1) as id`,
      [id],
    );
    const requests = await receiver.waitFor(2);
    t.strictSame(
      requests.map(({ headers }) => headers['webhook-id']).sort(),
      [sent, rows[0].id].sort(),
    );
    for (const path of ['pause', 'resume', 'enable'])
      t.equal((await posthorn.request('POST', `/v1/subscriptions/${id}/${path}`, {})).status, 200);
    t.equal((await posthorn.request('DELETE', `/v1/subscriptions/${id}`)).status, 200);
    t.equal((await posthorn.request('GET', '/readyz')).status, 200);

    const { rows: left } = await admin.query(
      `select 'extension ' || extname as thing from pg_extension where extname <> 'plpgsql'
     union all select 'event trigger ' || evtname from pg_event_trigger
     union all select 'schema ' || nspname from pg_namespace
       where nspname !~ '^pg_' and nspname not in ('public', 'information_schema', 'posthorn', 'graphile_worker')
     union all select 'function in ' || l.lanname || ' ' || p.oid::regprocedure
       from pg_proc p join pg_language l on l.oid = p.prolang
       where p.pronamespace in ('posthorn'::regnamespace, 'graphile_worker'::regnamespace)
         and l.lanname not in ('sql', 'plpgsql')`,
    );
    t.strictSame(left, [], 'it made nothing that a hosted service may refuse');
    t.strictSame(await migrate(url), { migrations: [], changed: [] });
  },
);

t.test('that role drops expired history and creates missing indexes', async (t) => {
  const { url } = await createHostedDatabase(t);
  await migrate(url);
  const client = await connect(t, url);
  await client.query(`select posthorn.ensure_partitions(current_date - 40, current_date - 40)`);
  await client.query(`drop index posthorn.deliveries_held`);
  await client.query(
    `create index deliveries_held on only posthorn.deliveries (subscription_id, webhook_id) where state = 'held'`,
  );
  const pool = createPool({ connectionString: url, purpose: 'test', max: 2, timeoutMs: 60_000 });
  t.teardown(() => pool.end());
  const log = pino({ level: 'silent' });
  await keepPartitions(pool, { retentionMs: 14 * DAY_MS }, log);
  const { rows } = await client.query(
    `select count(*)::integer as n from posthorn.list_partitions()
     where parent <> 'idempotency_keys' and until_at < now() - interval '30 days'`,
  );
  t.strictSame(rows, [{ n: 0 }]);
  t.ok((await makeMissingIndexes(pool, () => true, log)) > 0);
});

t.test('a role that may create roles lets an application send', async (t) => {
  const { admin, database, url } = await createHostedDatabase(t, 'createrole');
  await migrate(url);
  const client = await connect(t, url);
  const application = `application_${database.slice(-12)}`;
  await client.query(`create role ${application} login password 'plain'`);
  t.teardown(async () => {
    await admin.query(`drop owned by ${application}`);
    await admin.query(`drop role ${application}`);
  });
  await admin.query(`grant connect on database ${database} to ${application}`);
  await client.query('select posthorn.allow_sender($1)', [application]);
  const own = await connect(t, url.replace(/\/\/[^@/]*@/, `//${application}:plain@`));
  await own.query(`select posthorn.send('order.created', '{}')`);
  const { rows } = await client.query('select count(*)::integer as n from posthorn.webhooks');
  t.strictSame(rows, [{ n: 1 }]);
});

t.test('without superuser, a killed session is found and its work is taken over', async (t) => {
  const { admin, url } = await createHostedDatabase(t);
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { DATABASE_URL: url });
  const id = await posthorn.subscribe(receiver.url);
  // As a hosted service does at a restart, a failover, or when it suspends an idle database.
  await admin.query(
    `select pg_terminate_backend(pid) from pg_stat_activity
     where datname = current_database() and application_name like 'posthorn %'`,
  );
  const webhookId = await until('a webhook is accepted again', async () => {
    const { status, json } = await posthorn.request('POST', `/ingest/${id}`, {});
    return status === 202 && json.webhook_id;
  });
  await until('it is delivered', () =>
    receiver.received.some(({ headers }) => headers['webhook-id'] === webhookId),
  );
});

t.test('sslmode in DATABASE_URL decides what is checked of the certificate', async (t) => {
  const certificate = certify(t, ['DNS:localhost']);
  const path = join(t.testdir({}), 'ca.pem');
  writeFileSync(path, certificate.cert);
  const url = await startTlsForwarder(t, await createTestDatabase(t), certificate);
  const ca = `sslrootcert=${path}`;
  for (const [host, options] of [
    ['localhost', `sslmode=verify-full&${ca}`],
    ['127.0.0.1', `uselibpqcompat=true&sslmode=verify-ca&${ca}`],
    ['127.0.0.1', 'sslmode=no-verify'],
  ] as const)
    t.strictSame(await migrate(url(host, options)), { migrations: [], changed: [] }, options);
  for (const [host, options, message] of [
    ['localhost', 'sslmode=verify-full', /self-signed certificate/],
    ['127.0.0.1', `sslmode=verify-full&${ca}`, /IP: 127\.0\.0\.1 is not in the cert's list/],
    ['localhost', '', /Connection terminated unexpectedly/],
  ] as const)
    await t.rejects(migrate(url(host, options)), { name: 'OperatorError', message }, options);
});
