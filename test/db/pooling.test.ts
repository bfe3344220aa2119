import type pg from 'pg';
import t, { type Test } from 'tap';
import { findPooling } from '../../src/db/pooling.ts';
import { createSession } from '../../src/db/session.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { collectLog } from '../helpers/log.ts';
import { anyLoop } from '../helpers/loops.ts';
import { findPgBouncer, type PoolMode, startPgBouncer } from '../helpers/pgbouncer.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const program = findPgBouncer();
const skip =
  program === undefined ? 'PgBouncer is not installed: apt-get install pgbouncer' : false;

async function pooled(t: Test, databaseUrl: string, pool_mode: PoolMode, settings = {}) {
  return await startPgBouncer(t, program as string, databaseUrl, { pool_mode, ...settings });
}

async function advisoryLocks(client: pg.Client): Promise<number> {
  const { rows } = await client.query(
    `select from pg_locks where locktype = 'advisory'
       and database = (select oid from pg_database where datname = current_database())`,
  );
  return rows.length;
}

/** A command that ends at once, with one line that says what to do, and leaves nothing in the database. */
async function isRefused(t: Test, args: string[], env: Record<string, string>, message: RegExp) {
  const cli = await startCli(t, args, env);
  t.equal(await cli.exited, 1, `${args} ${JSON.stringify(env)}`);
  const said = cli.output.stderr
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('{"level":30'));
  t.equal(said.length, 1, cli.output.stderr);
  t.match(said[0], message);
}

t.test('how a connection gets its session is found out', { skip }, async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  t.equal(await findPooling(databaseUrl), 'session', 'without a pooler');
  for (const mode of ['session', 'transaction', 'statement'] as const)
    t.equal(await findPooling(await pooled(t, databaseUrl, mode)), mode);
  const busy = await pooled(t, databaseUrl, 'transaction', {
    server_round_robin: 1,
    min_pool_size: 2,
  });
  // Two servers, which take turns.
  const clients = await Promise.all([connect(t, busy), connect(t, busy)]);
  await Promise.all(clients.map((client) => client.query('begin')));
  await Promise.all(clients.map((client) => client.query('commit')));
  t.equal(await findPooling(busy), 'transaction', 'with servers that take turns');
});

t.test('with session pooling everything works', { skip }, async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const receiver = await startReceiver(t);
  const url = await pooled(t, databaseUrl, 'session', { default_pool_size: 100 });
  const posthorn = await startTestService(t, { DATABASE_URL: url });
  const id = await posthorn.subscribe(receiver.url);
  await Promise.all(Array.from({ length: 50 }, (_, n) => posthorn.ingest(id, { n })));
  await receiver.waitFor(50);
});

t.test('with transaction pooling, workers and migrations are refused', { skip }, async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const DATABASE_URL = await pooled(t, databaseUrl, 'transaction');
  const needsSession =
    /^posthorn: DATABASE_URL leads through a pooler that shares sessions .*Workers and migrations need .*set DATABASE_URL to .*POSTHORN_ROLE=api\.$/;
  for (const env of [{}, { POSTHORN_ROLE: 'worker' }, { POSTHORN_PROCESSES: '2' }])
    await isRefused(t, ['start'], { DATABASE_URL, ...env }, needsSession);
  await isRefused(t, ['migrate'], { DATABASE_URL }, needsSession);
  t.equal(await advisoryLocks(client), 0, 'no lock is left');
  await client.query(
    `update posthorn.schema_files set hash = '' where path = 'functions/send.sql'`,
  );
  await isRefused(
    t,
    ['start'],
    { DATABASE_URL, POSTHORN_ROLE: 'api' },
    /^posthorn: The database is not migrated to this version, .*Run posthorn migrate/,
  );
  const status = await startCli(t, ['migrate', '--status'], { DATABASE_URL });
  t.equal(await status.exited, 0, status.output.stderr);
  t.match(status.output.stdout, /not applied: functions\/send\.sql/);
});

t.test('with statement pooling, everything is refused', { skip }, async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const DATABASE_URL = await pooled(t, databaseUrl, 'statement');
  const needsTransactions =
    /^posthorn: DATABASE_URL leads through a pooler that allows no transactions .*set DATABASE_URL to .*$/;
  for (const role of ['all', 'api', 'worker'])
    await isRefused(t, ['start'], { DATABASE_URL, POSTHORN_ROLE: role }, needsTransactions);
  await isRefused(t, ['migrate'], { DATABASE_URL }, needsTransactions);
  t.equal(await advisoryLocks(client), 0, 'no lock is left');
});

/** Calls the API as its users do: sends, reads, manages. Returns how many webhooks were accepted. */
async function useApi(t: Test, posthorn: TestService, receiverUrl: string): Promise<number> {
  const ok = async (method: string, path: string, body?: unknown, headers = {}, status = 200) => {
    const reply = await posthorn.request(method, path, body, headers);
    t.equal(reply.status, status, `${method} ${path}: ${reply.text.slice(0, 300)}`);
    return reply.json;
  };
  const { id } = await ok(
    'POST',
    '/v1/subscriptions',
    { url: receiverUrl, event_types: ['order.*'] },
    {},
    201,
  );
  await Promise.all(
    Array.from({ length: 300 }, (_, n) => posthorn.ingest(id, { n, pad: 'x'.repeat(n) })),
  );
  const big = { event_type: 'order.big', data: 'x'.repeat(500_000) };
  await ok('POST', '/v1/webhooks', big, {}, 202);
  const keyed = { event_type: 'order.created', data: { keyed: true } };
  for (let n = 0; n < 2; n++)
    await ok('POST', '/v1/webhooks', keyed, { 'idempotency-key': 'k' }, 202);
  const many = Array.from({ length: 100 }, (_, n) => ({ event_type: 'order.paid', data: { n } }));
  await ok('POST', '/v1/webhooks/batch', { webhooks: many }, {}, 202);

  await ok('PATCH', `/v1/subscriptions/${id}`, { description: 'changed' });
  await ok('POST', `/v1/subscriptions/${id}/rotate-secret`, {});
  await ok('POST', `/v1/subscriptions/${id}/test`, {});
  const { id: other } = await ok(
    'POST',
    '/v1/subscriptions',
    { url: receiverUrl, event_types: ['none'] },
    {},
    201,
  );
  await ok('DELETE', `/v1/subscriptions/${other}`);
  await ok(
    'POST',
    '/v1/event-types',
    { name: 'order.created', schema: { type: 'object' } },
    {},
    201,
  );
  await ok('POST', '/v1/filters/test', { filter: '$.n > 1' });
  for (const path of [
    '/v1/subscriptions',
    '/v1/webhooks',
    '/v1/deliveries',
    '/v1/attempts',
    '/v1/tasks',
    '/v1/event-types',
    '/v1/stats',
    `/v1/subscriptions/${id}/health`,
    '/readyz',
  ])
    await ok('GET', path);
  return 300 + 1 + 1 + 100;
}

t.test(
  'with transaction pooling, an API works, whoever else uses its sessions',
  { skip },
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const receiver = await startReceiver(t);
    const pooledUrl = await pooled(t, databaseUrl, 'transaction', { default_pool_size: 4 });
    const worker = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_ROLE: 'worker',
    });
    const api = await startTestService(t, { DATABASE_URL: pooledUrl, POSTHORN_ROLE: 'api' });
    // Another application changes settings of the sessions that it shares with the API.
    const stranger = await connect(t, pooledUrl);
    const meddle = setInterval(() => {
      stranger
        .query(`set statement_timeout = '20ms'; set search_path = ''; set enable_indexscan = off`)
        .catch(() => {});
    }, 5);
    t.teardown(() => clearInterval(meddle));
    const accepted = await useApi(t, api, receiver.url);
    clearInterval(meddle);
    const tests = 1;
    await receiver.waitFor(accepted + tests);
    await until('all are delivered', async () => {
      const { rows } = await client.query(
        `select count(*)::integer as count from posthorn.deliveries where state = 'succeeded'`,
      );
      return rows[0].count === accepted;
    });
    t.equal((await worker.request('GET', '/readyz')).status, 200);

    const { rows } = await client.query<{ id: number }>(
      'select id from posthorn.subscriptions where deleted_at is null',
    );
    const id = rows[0]?.id;
    await client.query('update posthorn.subscriptions set deleted_at = now() where id = $1', [id]);
    await until(
      'a change by another process takes effect',
      async () => (await api.request('POST', `/ingest/${id}`, {})).status === 404,
      TOLD_MS,
    );

    // The stranger's settings are as it left them, and the API added none.
    const left = new Map<number, string>();
    const others = await Promise.all(Array.from({ length: 4 }, () => connect(t, pooledUrl)));
    await Promise.all(others.map((other) => other.query('begin')));
    for (const other of others) {
      const { rows } = await other.query(
        `select pg_backend_pid() as pid, concat_ws(' ', current_setting('plan_cache_mode'), current_setting('enable_seqscan'),
         current_setting('jit'), current_setting('idle_session_timeout')) as settings`,
      );
      left.set(rows[0].pid, rows[0].settings);
    }
    t.strictSame(new Set(left.values()).size, 1);
    t.match([...left.values()][0], /^auto on (on|off) 0$/);
  },
);

t.test('a session that a pooler begins to share counts as lost', { skip }, async (t) => {
  const url = await pooled(t, await createTestDatabase(t), 'transaction');
  const { log, lines } = collectLog();
  const session = createSession({ databaseUrl: url, purpose: 'test', loop: anyLoop, log });
  await session.start();
  t.teardown(() => session.stop());
  // Takes the server that the session had.
  const other = await connect(t, url);
  await other.query('begin');
  await until(
    'it is noticed',
    () => lines.some(({ reason }) => /gives this session to others/.test(String(reason))),
    60_000,
  );
});
