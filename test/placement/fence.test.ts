import pg from 'pg';
import t, { type Test } from 'tap';
import { closeTenant, openTenant } from '../../src/placement/fence.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createSender } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';
import { changeFile, copyVersion, importMigrate } from '../helpers/version.ts';

const CLOSED = { code: 'PH002', message: /the tenant "acme" is closed in this database/ };
const TRIES = { timeoutMs: 60_000 };

async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`insert into posthorn.tenants (id) values ('acme'), ('zeta')`);
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 3 });
  t.teardown(() => pool.end());
  const webhooksOf = async (tenant: string) => {
    const { rows } = await client.query<{ number: number }>(
      'select count(*)::integer as number from posthorn.webhook_payloads where tenant = $1',
      [tenant],
    );
    return rows[0]?.number;
  };
  return { databaseUrl, client, pool, webhooksOf };
}

const send = (tenant: string) => `select posthorn.send('a.b', '{}', '${tenant}')`;

t.test('a closed tenant can send nothing in SQL, and others go on', async (t) => {
  const { client, pool, webhooksOf } = await start(t);
  await closeTenant(pool, 'acme', TRIES);
  for (const statement of [
    send('acme'),
    `select posthorn.send_many('{a.b,a.c}', '{1,2}', 'acme')`,
    `select posthorn.send_json('a.b', '1', 'acme')`,
    `select posthorn.send('a.b', '{}', 'acme', deliver_at => now() + interval '1 day')`,
    `select posthorn.send('a.b', '{}', 'acme', idempotency_key => 'k')`,
  ]) {
    await t.rejects(client.query(statement), CLOSED, statement);
  }
  await client.query(send('zeta'));
  await client.query(send('default'));
  t.equal(await webhooksOf('acme'), 0);
  t.equal(await webhooksOf('zeta'), 1);
});

t.test('a closed tenant can be opened again, and closed twice', async (t) => {
  const { client, pool, webhooksOf } = await start(t);
  await closeTenant(pool, 'acme', TRIES);
  await closeTenant(pool, 'acme', TRIES);
  await closeTenant(pool, 'zeta', TRIES);
  await openTenant(pool, 'acme', TRIES);
  await openTenant(pool, 'acme', TRIES);
  await client.query(send('acme'));
  t.equal(await webhooksOf('acme'), 1);
  await t.rejects(client.query(send('zeta')), { code: 'PH002' });
});

t.test(
  'closing waits for a transaction that has sent, and lets other senders pass meanwhile',
  async (t) => {
    const { databaseUrl, client, pool, webhooksOf } = await start(t);
    const application = await connect(t, databaseUrl);
    await application.query('begin');
    await application.query(send('acme'));
    let closed = false;
    const closing = closeTenant(pool, 'acme', TRIES).then(() => {
      closed = true;
    });
    await until('closing waits for its locks', async () => {
      const { rows } = await client.query('select from pg_locks where not granted');
      return rows.length > 0;
    });
    await client.query(send('zeta'));
    t.notOk(closed, 'the transaction is open');
    await application.query('commit');
    await closing;
    t.equal(await webhooksOf('acme'), 1, 'what was sent before is committed');
    await t.rejects(client.query(send('acme')), CLOSED);
  },
);

t.test(
  'closing gives up after its time, names the transaction, and leaves the tenant open',
  async (t) => {
    const { databaseUrl, client, pool } = await start(t);
    const application = await connect(t, databaseUrl);
    await application.query(`set application_name = 'shop'; begin; ${send('acme')}`);
    await t.rejects(closeTenant(pool, 'acme', { timeoutMs: 0 }), {
      message: /still open: pid \d+ \("shop"\), open for \d+ s/,
    });
    await application.query('rollback');
    await client.query(send('acme'));
  },
);

for (const level of ['read committed', 'repeatable read', 'serializable']) {
  t.test(`a ${level} transaction that began before the close cannot send after it`, async (t) => {
    const { databaseUrl, pool, webhooksOf } = await start(t);
    const application = await connect(t, databaseUrl);
    await application.query(`begin isolation level ${level}`);
    await application.query('select count(*) from posthorn.tenants');
    await closeTenant(pool, 'acme', TRIES);
    await t.rejects(application.query(send('acme')), CLOSED);
    await application.query('rollback');
    t.equal(await webhooksOf('acme'), 0);
  });
}

t.test('nothing of a closed tenant can be created or changed, but workers go on', async (t) => {
  const { client, pool } = await start(t);
  const { rows } = await client.query(
    `insert into posthorn.subscriptions (tenant, url) values ('acme', 'https://example.com') returning id`,
  );
  const { id } = rows[0];
  await client.query(`insert into posthorn.event_types (tenant, name) values ('acme', 'a.b')`);
  await closeTenant(pool, 'acme', TRIES);
  for (const statement of [
    `insert into posthorn.subscriptions (tenant, url) values ('acme', 'https://example.com')`,
    `update posthorn.subscriptions set url = 'https://example.org' where id = ${id}`,
    `update posthorn.subscriptions set deleted_at = now() where id = ${id}`,
    `select posthorn.subscribe('https://example.com', tenant => 'acme')`,
    `insert into posthorn.event_types (tenant, name) values ('acme', 'a.c')`,
    `update posthorn.event_types set description = 'x' where tenant = 'acme'`,
    `delete from posthorn.event_types where tenant = 'acme'`,
    `insert into posthorn.keys (tenant, hash, hint, environment, scopes)
       values ('acme', sha256('x'), 'x', 'live', '{send}')`,
  ]) {
    await t.rejects(client.query(statement), CLOSED, statement);
  }
  await client.query(`update posthorn.subscriptions set status = 'disabled' where id = ${id}`);
  await client.query(`update posthorn.subscriptions set circuit_open = true where id = ${id}`);
  const { rows: guarded } = await client.query(
    `select column_name from information_schema.columns
     where table_schema = 'posthorn' and table_name = 'subscriptions'
     except
     select event_object_column from information_schema.triggered_update_columns
     where trigger_schema = 'posthorn' and event_object_table = 'subscriptions' and trigger_name = 'require_open'`,
  );
  t.strictSame(
    guarded.map(({ column_name }) => column_name).sort(),
    [
      'circuit_open',
      'created_at',
      'filter_cost',
      'filter_test',
      'id',
      'skip_until',
      'status',
    ].concat(['status_changed_at', 'status_reason', 'through_backlog', 'updated_at']),
    'workers and triggers write these, and nobody else',
  );
});

t.test(
  'the session of a move may write to a closed tenant, and that of a sender may not',
  async (t) => {
    const { client, pool, webhooksOf } = await start(t);
    const role = await createSender(t, client);
    await closeTenant(pool, 'acme', TRIES);
    await client.query(`set posthorn.mover = on; ${send('acme')}`);
    t.equal(await webhooksOf('acme'), 1);
    await client.query(`set session authorization ${role}`);
    await t.rejects(client.query(send('acme')), CLOSED);
    await client.query('reset session authorization');
  },
);

t.test(
  'the fence covers days that are created later, and outlasts a new version of its function',
  async (t) => {
    const { databaseUrl, client, pool } = await start(t);
    const partitions = async () => {
      const { rows } = await client.query(
        `select count(*)::integer as number, count(*) filter (where exists (
         select from pg_trigger g where g.tgrelid = i.inhrelid and g.tgname = 'refuse_closed_tenant'))::integer as fenced
       from pg_inherits i where i.inhparent = 'posthorn.webhook_payloads'::regclass`,
      );
      return rows[0] as { number: number; fenced: number };
    };
    await closeTenant(pool, 'acme', TRIES);
    const before = await partitions();
    t.equal(before.fenced, before.number);
    await client.query(`select posthorn.ensure_partitions('2040-01-01', '2040-01-02')`);
    const after = await partitions();
    t.ok(after.number > before.number);
    t.equal(after.fenced, after.number);
    const copy = t.testdir();
    copyVersion(copy);
    changeFile(copy, 'functions/refuse_closed_tenant.sql', 'begin', (text) => `${text} -- newer`);
    const { migrate } = await importMigrate(copy);
    t.strictSame((await migrate(databaseUrl)).changed, ['functions/refuse_closed_tenant.sql']);
    await t.rejects(client.query(send('acme')), CLOSED);
  },
);

t.test(
  'a service answers 503 with Retry-After for a closed tenant, and accepts for others',
  async (t) => {
    const { databaseUrl, pool, webhooksOf } = await start(t);
    const { request, ingest, subscribe } = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_ROLE: 'api',
    });
    const made = await request('POST', '/v1/subscriptions?tenant=acme', {
      url: 'https://example.com/hook',
      secret: 'a-secret-of-acme-1234',
    });
    t.equal(made.status, 201, made.text);
    const other = await subscribe('https://example.com/hook');
    await closeTenant(pool, 'acme', TRIES);
    const refused = await Promise.all([
      request('POST', '/v1/webhooks?tenant=acme', { event_type: 'a.b', data: {} }),
      request('POST', '/v1/webhooks/batch?tenant=acme', {
        webhooks: [{ event_type: 'a.b', data: {} }],
      }),
      request('POST', '/v1/subscriptions?tenant=acme', { url: 'https://example.com/two' }),
      request('PATCH', `/v1/subscriptions/${made.json.id}?tenant=acme`, { description: 'two' }),
      request('POST', `/v1/keys`, { tenant: 'acme', scopes: ['send'] }),
      ...[1, 2, 3].map(() => ingest(other)),
    ]);
    for (const answer of refused) {
      if (typeof answer === 'string') continue;
      t.equal(answer.status, 503, answer.text);
      t.equal(answer.headers.get('retry-after'), '5');
      t.match(answer.json, { type: 'urn:posthorn:problem:tenant-moves' });
    }
    t.equal(await webhooksOf('acme'), 0);
    t.equal(await webhooksOf('default'), 3);
    await openTenant(pool, 'acme', TRIES);
    const sent = await request('POST', '/v1/webhooks?tenant=acme', { event_type: 'a.b', data: {} });
    t.equal(sent.status, 202, sent.text);
  },
);
