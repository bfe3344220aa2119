import { pino } from 'pino';
import t from 'tap';
import { migrate, migrationStatus } from '../../src/db/migrate.ts';
import { createPool } from '../../src/db/pool.ts';
import { createSession } from '../../src/db/session.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { anyLoop } from '../helpers/loops.ts';
import { until } from '../helpers/until.ts';
import { importMigrate, makeNextVersion } from '../helpers/version.ts';

const NOTHING = { migrations: [], changed: [] };

t.test('several processes may migrate an empty database at once', async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const status = await migrationStatus(databaseUrl);
  t.ok(status.migrations.length > 0);
  t.ok(status.migrations.every(({ appliedAt }) => appliedAt === null));
  t.ok(status.changed.length > 40);
  const done = await Promise.all([1, 2, 3, 4].map(() => migrate(databaseUrl)));
  t.strictSame(
    done.flatMap(({ migrations }) => migrations.map(({ name }) => name)).sort(),
    status.migrations.map(({ name }) => name),
    'each migration was applied by one of them, once',
  );
  t.strictSame(
    done.flatMap(({ changed }) => changed),
    status.changed,
    'and each function',
  );
  t.ok(await isUpToDate(databaseUrl));
  t.strictSame(await migrate(databaseUrl), NOTHING);
});

t.test('a migration waits for an open transaction without blocking others', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const next = t.testdir();
  makeNextVersion(next);
  const { migrate } = await importMigrate(next);

  const open = await connect(t, databaseUrl);
  await open.query('begin');
  await open.query(`set application_name = 'the shop'`);
  await open.query('select from posthorn.deliveries, posthorn.subscriptions limit 1');
  const told: string[] = [];
  const done = migrate(databaseUrl, { onWait: (_name, blockedBy) => void told.push(blockedBy) });
  await until('it has waited', () => told.length > 0);
  t.match(told[0], /^the transaction of pid \d+ \("the shop"\), open for \d+ s$/);
  const other = await connect(t, databaseUrl);
  await other.query(`select posthorn.send('order.created', '{}')`);
  t.pass('others send meanwhile');
  await open.query('commit');
  const applied = await done;
  t.match(applied.migrations, [{ name: '0002_next.sql' }]);
});

t.test('posthorn migrate applies, and --status lists', async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const run = async (...args: string[]) => {
    const cli = await startCli(t, ['migrate', ...args], { DATABASE_URL: databaseUrl });
    t.equal(await cli.exited, 0, cli.output.stderr);
    return cli.output.stdout;
  };
  t.match(
    await run('--status'),
    /^0001_schema\.sql +not applied\nfunctions and views +not applied: \d+ files\n$/,
  );
  t.match(await run(), /^applied 0001_schema\.sql\napplied functions and views: \d+ files\n$/);
  t.match(
    await run('--status'),
    /^0001_schema\.sql +\d{4}-\d\d-\d\dT.*\nfunctions and views +up to date\n$/,
  );
  t.match(await run(), /up to date/);
  const client = await connect(t, databaseUrl);
  await client.query('drop function posthorn.send');
  t.match(await run('--status'), /functions and views +not applied: functions\/send\.sql\n/);
  t.match(JSON.parse(await run('--status', '--json')), {
    migrations: [{ name: '0001_schema.sql', applied_at: /^\d{4}-/ }],
    changed: ['functions/send.sql'],
  });
  t.match(await run(), /^applied functions and views: functions\/send\.sql\n$/);
  t.strictSame(JSON.parse(await run('--json')), { migrations: [], changed: [] });
});

t.test('the service refuses to start on a newer schema', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(
    `insert into posthorn.migrations (version, name) values (9999, '9999_future.sql')`,
  );
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
  t.equal(await cli.exited, 1);
  t.match(
    cli.output.stderr,
    /^posthorn: The database "\w+" .* has schema 9999, but this Posthorn knows only \d+\. .*\n$/m,
  );
});

t.test('a service on an up-to-date database needs no right to create anything', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const admin = await connect(t, databaseUrl);
  const name = `posthorn_plain_${process.pid}`;
  await admin.query(`create role ${name} login password 'plain'`);
  t.teardown(async () => {
    await admin.query(`drop owned by ${name}`);
    await admin.query(`drop role ${name}`);
  });
  for (const schema of ['posthorn', 'graphile_worker']) {
    await admin.query(`grant usage on schema ${schema} to ${name}`);
    await admin.query(
      `grant select, insert, update, delete on all tables in schema ${schema} to ${name}`,
    );
  }
  const plainUrl = databaseUrl.replace(/\/\/[^@/]*@/, `//${name}:plain@`);
  t.strictSame(await migrate(plainUrl), NOTHING);
  for (const lack of [
    `update posthorn.schema_files set hash = '' where path = 'functions/send.sql'`,
    'delete from posthorn.migrations where version = 1',
  ]) {
    await admin.query(lack);
    await t.rejects(migrate(plainUrl), { name: 'OperatorError', message: /may not migrate it/ });
  }
});

t.test('a database with other output formats is read correctly', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const { rows } = await client.query('select current_database() as name');
  for (const [setting, value] of [
    ['DateStyle', 'SQL, DMY'],
    ['IntervalStyle', 'sql_standard'],
    ['TimeZone', 'Asia/Kathmandu'],
    ['bytea_output', 'escape'],
    ['extra_float_digits', '-10'],
    ['client_encoding', 'LATIN1'],
  ])
    await client.query(`alter database ${rows[0].name} set ${setting} = '${value}'`);
  t.strictSame(await migrate(databaseUrl), NOTHING);
  t.ok(await isUpToDate(databaseUrl));
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  t.teardown(() => pool.end());
  const read = await pool.query(
    `select timestamptz '2026-02-03 04:05:06.789Z' as at, interval '1 day 2 hours' as span,
       '\\x00ff'::bytea as bytes, 0.1::float8 + 0.2 as sum, 'ä€' as text`,
  );
  t.match(read.rows[0], {
    at: new Date('2026-02-03T04:05:06.789Z'),
    span: { days: 1, hours: 2 },
    bytes: Buffer.from([0, 255]),
    sum: 0.1 + 0.2,
    text: 'ä€',
  });
  const session = createSession({
    databaseUrl,
    purpose: 'test',
    loop: anyLoop,
    log: pino({ level: 'silent' }),
  });
  session.onConnect(async (client) => {
    const { rows } = await client.query('select now() as now');
    t.ok(rows[0].now instanceof Date);
  });
  await session.start();
  t.teardown(() => session.stop());
});

t.test('users that could send before an upgrade can send after it', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  const role = `application_${process.pid}`;
  await client.query(`
    create role ${role};
    grant usage on schema posthorn, public to ${role};
    grant execute on function posthorn.send to ${role};
    create function public.bound(n integer) returns uuid language sql
      return posthorn.send('order.created', to_jsonb(n));
    create function public.unbound(n integer) returns uuid language plpgsql as
      $$ begin return posthorn.send('order.created', to_jsonb(n), 'default'); end $$`);
  t.teardown(() => client.query(`reset role; drop owned by ${role}; drop role ${role}`));
  const next = t.testdir();
  makeNextVersion(next);
  await (await importMigrate(next)).migrate(databaseUrl);
  for (const call of ['public.bound(1)', 'public.unbound(2)']) await client.query(`select ${call}`);
  await client.query(`set role ${role}`);
  for (const call of [
    `posthorn.send('a', '3')`,
    `posthorn.send('a', '4', 'default')`,
    `posthorn.send('a', '5', next_version => 'given')`,
    'public.unbound(6)',
  ])
    await client.query(`select ${call}`);
  await t.rejects(client.query(`select posthorn.send_many('{a}', '{1}')`), { code: '42501' });
  await client.query('reset role');
  const { rows } = await client.query('select count(*)::integer from posthorn.webhook_payloads');
  t.equal(rows[0].count, 6);
});

async function isUpToDate(databaseUrl: string): Promise<boolean> {
  const { migrations, changed } = await migrationStatus(databaseUrl);
  return changed.length === 0 && migrations.every(({ appliedAt }) => appliedAt instanceof Date);
}
