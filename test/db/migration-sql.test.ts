import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { runMigrations } from 'graphile-worker';
import pg from 'pg';
import t, { type Test } from 'tap';
import { migrate, migrationStatus } from '../../src/db/migrate.ts';
import { knownMigrations } from '../../src/db/migration-files.ts';
import { migrationSql } from '../../src/db/migration-sql.ts';
import { silentQueueLogger } from '../../src/db/queue-logger.ts';
import { OperatorError } from '../../src/lib/errors.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { collectLog } from '../helpers/log.ts';
import { dumpQueue } from '../helpers/queue-dump.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createLogin, revokeFromPublic } from '../helpers/roles.ts';
import { dumpSchema } from '../helpers/schema-dump.ts';
import { startTestService } from '../helpers/service.ts';
import { importMigrate, makeNextVersion } from '../helpers/version.ts';

const newest = async () => (await knownMigrations()).at(-1)?.version as number;

/** Runs a script as `psql -1` does: whole, in one transaction. */
async function runScript(client: pg.Client, sql: string): Promise<void> {
  await client.query(`begin;\n${sql}\ncommit;`);
}

/** Everything that a database has of Posthorn and of graphile-worker, as text. */
async function dump(t: Test, databaseUrl: string): Promise<string> {
  const client = await connect(t, databaseUrl);
  const { rows } = await client.query(
    `select 'partition ' || parent || ' ' || name || ' ' || until_at as line from posthorn.list_partitions()
     union all select 'migration ' || version || ' ' || name from posthorn.migrations
     union all select concat_ws(' ', 'file', path, hash) from posthorn.schema_files
       where path not like 'replaced/%'
     order by line`,
  );
  const records = rows.map(({ line }) => line).join('\n');
  return [await dumpSchema(client), await dumpQueue(client), records].join('\n');
}

t.test('posthorn migrate --sql prints the same bytes each time, without a database', async (t) => {
  const print = async () => {
    const cli = await startCli(t, ['migrate', '--sql'], {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    });
    t.equal(await cli.exited, 0, cli.output.stderr);
    return cli.output.stdout;
  };
  const [first, second] = await Promise.all([print(), print()]);
  t.equal(first, second);
  t.equal(first, await migrationSql({ from: 0 }));
  t.match(first, /^-- Posthorn \d+\.\d+\.\d+: written by `posthorn migrate --sql`/);
  t.match(first, /psql -1 -v ON_ERROR_STOP=1 /);
  t.match(first, new RegExp(`posthorn migrate --sql --from ${await newest()}`), 'what is next');
});

t.test('posthorn migrate says what is wrong with its options', async (t) => {
  for (const [args, message] of [
    [['--sql', '--from', '9999'], /^posthorn: --from is "9999"; give the number of/],
    [['--sql', '--from', 'x'], /^posthorn: --from is "x"; give the number of/],
    [['--from', '1'], /^posthorn: --from and --owner need --sql\./],
    [['--sql', '--json'], /'--json' cannot be used with option '--sql'/],
    [['--sql', '--status'], /'--status' cannot be used with option '--sql'/],
  ] as const) {
    const cli = await startCli(t, ['migrate', ...args]);
    t.equal(await cli.exited, 2);
    t.match(cli.output.stderr, message);
  }
});

t.test('the printed SQL makes the database that posthorn migrate makes', async (t) => {
  const printed = await createTestDatabase(t, { migrated: false });
  const client = await connect(t, printed);
  await client.query(`set search_path = public, pg_catalog`);
  await client.query('begin');
  await client.query(await migrationSql({ from: 0 }));
  const { rows } = await client.query('show search_path');
  t.match(rows, [{ search_path: 'public, pg_catalog' }], 'a tool finds its own tables afterwards');
  await client.query('commit');
  const migrated = await createTestDatabase(t, { migrated: false });
  await migrate(migrated);
  t.equal(await dump(t, printed), await dump(t, migrated));
  t.strictSame(await migrate(printed), { migrations: [], changed: [] });
});

t.test("the queue's schema is the one that graphile-worker itself installs", async (t) => {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 2 });
  pool.on('error', () => {});
  pool.on('connect', (client) => client.on('error', () => {}));
  await runMigrations({ pgPool: pool, preset: { worker: { logger: silentQueueLogger } } });
  await pool.end();
  const migrated = await createTestDatabase(t);
  t.equal(
    await dumpQueue(await connect(t, migrated)),
    await dumpQueue(await connect(t, databaseUrl)),
  );
  await runScript(await connect(t, databaseUrl), await migrationSql({ from: 0 }));
  t.equal(await dump(t, databaseUrl), await dump(t, migrated), 'it may be there before Posthorn');
});

t.test('psql runs the printed SQL in one transaction', async (t) => {
  if (spawnSync('psql', ['--version']).status !== 0) {
    t.pass('not run', { skip: 'there is no psql' });
    return;
  }
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const run = (input: string) =>
    spawnSync('psql', ['-X', '-q', '-1', '-v', 'ON_ERROR_STOP=1', databaseUrl], {
      input,
      encoding: 'utf8',
    });
  const sql = await migrationSql({ from: 0 });
  const failed = run(`${sql}select 1 / 0;\n`);
  t.equal(failed.status, 3, failed.stderr);
  const status = await migrationStatus(databaseUrl);
  t.ok(
    status.migrations.every(({ appliedAt }) => appliedAt === null),
    'if it fails, nothing is left of it',
  );
  const done = run(sql);
  t.equal(done.status, 0, done.stderr);
  t.equal(done.stderr, '');
  t.strictSame(await migrate(databaseUrl), { migrations: [], changed: [] });
});

t.test('an upgrade by the printed SQL is like a new database', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const next = t.testdir();
  makeNextVersion(next);
  const nextSql: typeof import('../../src/db/migration-sql.ts') = await import(
    join(next, 'src', 'db', 'migration-sql.ts')
  );
  const { migrate: migrateNext } = await importMigrate(next);
  const client = await connect(t, databaseUrl);
  await client.query('grant execute on function posthorn.send to public');
  await runScript(client, await nextSql.migrationSql({ from: await newest() }));
  t.strictSame(await migrateNext(databaseUrl), { migrations: [], changed: [] });
  const { rows } = await client.query(
    `select p.proname as name, has_function_privilege('public', p.oid, 'execute') as allowed
     from pg_proc p where p.pronamespace = 'posthorn'::regnamespace and proname similar to 'send(_before_%)?'
     order by name`,
  );
  t.match(rows, [
    { name: 'send', allowed: true },
    { name: /^send_before_\d+$/, allowed: true },
  ]);
  await client.query(`select posthorn.send('order.created', '{}', next_version => 'given')`);
  await client.query('revoke execute on function posthorn.send from public');
  // The next script drops the functions of the version before.
  await runScript(client, await nextSql.migrationSql({ from: (await newest()) + 1 }));
  const fresh = await createTestDatabase(t, { migrated: false });
  await migrateNext(fresh);
  t.equal(await dump(t, databaseUrl), await dump(t, fresh));
});

t.test('a script for another database changes nothing, and says which script to use', async (t) => {
  const empty = await connect(t, await createTestDatabase(t, { migrated: false }));
  const full = await connect(t, await createTestDatabase(t));
  await t.rejects(runScript(empty, await migrationSql({ from: await newest() })), {
    message: /this script is for a database with the migrations up to \d+, .* up to 0/,
    hint: /migrate --sql --from 0/,
  });
  await t.rejects(runScript(full, await migrationSql({ from: 0 })), {
    message: /has Posthorn's migrations up to \d+ already/,
    hint: `Use the script that posthorn migrate --sql --from ${await newest()} prints.`,
  });
  await full.query('rollback');
  await full.query(`update posthorn.schema_files set posthorn_version = '99.0.0'`);
  await t.rejects(runScript(full, await migrationSql({ from: await newest() })), {
    message: /has functions of Posthorn 99\.0\.0/,
  });
});

/** A database that a team's tool has migrated, as one role, for a service that runs as another. */
async function migrateForService(t: Test) {
  const databaseUrl = await createTestDatabase(t, { migrated: false });
  const admin = await connect(t, databaseUrl);
  const database = await revokeFromPublic(admin);
  const service = await createLogin(t, admin);
  const tool = await createLogin(t, admin);
  await admin.query(`grant connect on database ${database} to ${service.name}, ${tool.name}`);
  await admin.query(`grant create on database ${database} to ${tool.name}`);
  await admin.query(`grant ${service.name} to ${tool.name}`);
  await runScript(
    await connect(t, tool.url(databaseUrl)),
    await migrationSql({ from: 0, owner: service.name }),
  );
  return { admin, serviceUrl: service.url(databaseUrl) };
}

t.test('a service whose role may not create in the database delivers webhooks', async (t) => {
  const { serviceUrl } = await migrateForService(t);
  const own = await connect(t, serviceUrl);
  await t.rejects(own.query('create schema other'), { code: '42501' });
  await t.rejects(own.query('create temp table other ()'), { code: '42501' });
  await t.rejects(own.query('create table public.other ()'), { code: '42501' });
  const receiver = await startReceiver(t);
  const { log, lines } = collectLog();
  const posthorn = await startTestService(t, { DATABASE_URL: serviceUrl }, log);
  t.match(
    lines.filter(({ msg }) => msg.includes('may not create')),
    [{ msg: /^the schema is of this version/ }],
  );
  const id = await posthorn.subscribe(receiver.url);
  const webhookId = await posthorn.ingest(id);
  const [request] = await receiver.waitFor(1);
  t.equal(request?.headers['webhook-id'], webhookId);
  const { status } = await posthorn.request('GET', '/readyz');
  t.equal(status, 200);
});

t.test(
  'a service whose role may not create in the database does not migrate it, and says what to run',
  async (t) => {
    const { admin, serviceUrl } = await migrateForService(t);
    for (const lack of [
      `update posthorn.schema_files set hash = '' where path = 'functions/send.sql'`,
      'delete from graphile_worker.migrations where id = (select max(id) from graphile_worker.migrations)',
    ]) {
      await admin.query('begin');
      await admin.query(lack);
      await admin.query('commit');
      await t.rejects(startTestService(t, { DATABASE_URL: serviceUrl }), {
        constructor: OperatorError,
        message: new RegExp(
          `^The database .* is not of this version .*may not create in it\\. Apply what posthorn migrate --sql --from ${await newest()} prints, or [^\\n]*$`,
        ),
      });
      await runScript(admin, await migrationSql({ from: await newest() }));
    }
  },
);
