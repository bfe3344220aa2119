import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { acceptWebhooks } from '../../src/intake/accept.sql.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { dumpSchema, SCHEMA_PATH } from '../helpers/schema-dump.ts';
import {
  changeFile,
  copyVersion,
  importMigrate,
  makeNextVersion,
  removeSchemaFile,
  setVersion,
  writeSchemaFile,
} from '../helpers/version.ts';

/** A migrated database, and a copy of this version whose files can be changed. */
async function start(t: Test) {
  const databaseUrl = await createTestDatabase(t);
  const copy = t.testdir();
  copyVersion(copy);
  const client = await connect(t, databaseUrl);
  const functions = async (name: string) => {
    const { rows } = await client.query<{ arguments: string; body: string }>(
      `select pg_get_function_arguments(oid) as arguments, prosrc as body
       from pg_proc where pronamespace = 'posthorn'::regnamespace and proname similar to $1 order by proname`,
      [name],
    );
    return rows;
  };
  return { databaseUrl, copy, client, functions, ...(await importMigrate(copy)) };
}

t.test('schema/schema.sql shows the schema that a database has', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  t.equal(
    readFileSync(SCHEMA_PATH, 'utf8'),
    await dumpSchema(client),
    'if the change is meant, npm run schema writes it anew',
  );
});

t.test('each function and view has one file, named after it', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  const { rows } = await client.query<{ path: string }>(
    `select 'functions/' || proname || '.sql' as path from pg_proc where pronamespace = 'posthorn'::regnamespace
     union all
     select 'views/' || relname || '.sql' from pg_class where relnamespace = 'posthorn'::regnamespace and relkind = 'v'`,
  );
  const files = ['functions', 'views'].flatMap((kind) =>
    readdirSync(join(SCHEMA_PATH, '..', kind)).map((name) => `${kind}/${name}`),
  );
  t.strictSame(rows.map(({ path }) => path).sort(), files.sort());
});

t.test('a function or a view whose text has changed is applied again, and only that', async (t) => {
  const { databaseUrl, copy, client, functions, migrate } = await start(t);
  changeFile(copy, 'functions/require_tenant.sql', 'there is no tenant', () => 'no such tenant');
  changeFile(
    copy,
    'views/webhooks.sql',
    'deliver_at\nfrom',
    () => 'deliver_at, ordering_key as later_column\nfrom',
  );
  t.strictSame(await migrate(databaseUrl), {
    migrations: [],
    changed: ['functions/require_tenant.sql', 'views/webhooks.sql'],
  });
  t.match((await functions('require_tenant'))[0]?.body, /no such tenant/);
  await client.query('select later_column from posthorn.webhooks');
  t.strictSame(await migrate(databaseUrl), { migrations: [], changed: [] });
});

t.test('files are applied in an order that works, without regard to their names', async (t) => {
  const { databaseUrl, copy, client, migrate } = await start(t);
  const sql = (name: string, body: string) =>
    writeSchemaFile(
      copy,
      `functions/${name}.sql`,
      `create or replace function posthorn.${name}() returns integer language sql return ${body};`,
    );
  sql('a_first', 'posthorn.b_second() + 1');
  sql('b_second', 'posthorn.c_third() + 1');
  sql('c_third', '1');
  await migrate(databaseUrl);
  t.match((await client.query('select posthorn.a_first() as n')).rows, [{ n: 3 }]);
});

t.test('if a file cannot be applied, the error names it, and no file is applied', async (t) => {
  const { databaseUrl, copy, client, functions, migrate, migrationStatus } = await start(t);
  changeFile(copy, 'functions/require_tenant.sql', 'there is no tenant', () => 'no such tenant');
  for (const [text, message] of [
    [
      'create or replace function posthorn.wrong() returns integer language sql return 1 +;',
      /syntax error/,
    ],
    [
      'create or replace function posthorn.wrong() returns integer language sql return posthorn.missing();',
      /function posthorn\.missing\(\) does not exist/,
    ],
    [
      'create or replace function posthorn.other() returns integer language sql return 1;',
      /the file must create exactly one function posthorn\.wrong; there are 0/,
    ],
  ] as const) {
    writeSchemaFile(copy, 'functions/wrong.sql', text);
    await t.rejects(migrate(databaseUrl), {
      message: new RegExp(`schema/functions/wrong\\.sql cannot be applied: .*${message.source}`),
    });
  }
  t.match((await functions('require_tenant'))[0]?.body, /there is no tenant/);
  t.strictSame(await functions('wrong'), []);
  t.strictSame((await migrationStatus(databaseUrl)).changed.length, 2);
  await client.query('select 1');
});

t.test('a function without a file is dropped, with its triggers', async (t) => {
  const { databaseUrl, copy, client, functions, migrate } = await start(t);
  removeSchemaFile(copy, 'functions/forget_circuit.sql');
  removeSchemaFile(copy, 'views/tenant_subscriptions.sql');
  t.match(await migrate(databaseUrl), {
    changed: ['functions/forget_circuit.sql', 'views/tenant_subscriptions.sql'],
  });
  t.strictSame(await functions('forget_circuit'), []);
  const { rows } = await client.query(
    `select from pg_trigger where tgname = 'forget_circuit'
     union all select from pg_class where relname = 'tenant_subscriptions'`,
  );
  t.equal(rows.length, 0);
  await client.query(`insert into posthorn.subscriptions (url) values ('http://a.example/')`);
  await client.query(`update posthorn.subscriptions set url = 'http://b.example/'`);
});

t.test(
  'a trigger is changed as its file says: other events, another name, another function',
  async (t) => {
    const { databaseUrl, copy, client, migrate } = await start(t);
    changeFile(
      copy,
      'functions/forget_circuit.sql',
      'trigger forget_circuit',
      () => 'trigger later',
    );
    changeFile(copy, 'functions/notify_key_changed.sql', ', revoked_at on', () => ' on');
    // Under another name, as if it were another function, with the same trigger.
    changeFile(
      copy,
      'functions/ensure_backlog.sql',
      'replace function posthorn.ensure_backlog',
      () => 'replace function posthorn.renamed',
    );
    const text = readFileSync(join(copy, 'schema/functions/ensure_backlog.sql'), 'utf8');
    writeSchemaFile(
      copy,
      'functions/renamed.sql',
      text.replaceAll('posthorn.ensure_backlog', 'posthorn.renamed'),
    );
    removeSchemaFile(copy, 'functions/ensure_backlog.sql');
    await migrate(databaseUrl);
    const upgraded = await dumpSchema(client);
    const fresh = await createTestDatabase(t, { migrated: false });
    await migrate(fresh);
    t.equal(
      upgraded,
      await dumpSchema(await connect(t, fresh)),
      'an upgrade is like a new database',
    );
    t.match(upgraded, /TRIGGER later AFTER/);
    t.notMatch(upgraded, /TRIGGER forget_circuit|FUNCTION posthorn\.ensure_backlog/);
  },
);

t.test('an upgrade that changes every function keeps the triggers made at run time', async (t) => {
  const { databaseUrl, copy, client, migrate } = await start(t);
  await client.query(`select posthorn.ensure_partitions(current_date - 3, current_date - 2, 1)`);
  await client.query(`insert into posthorn.tenants (id) values ('acme')`);
  await client.query(`select posthorn.close_tenant('acme')`);
  await client.query(`select posthorn.note_quiet_history(
    'deliveries_' || to_char(current_date - 3, 'YYYYMMDD'),
    'delivery_attempts_' || to_char(current_date - 3, 'YYYYMMDD'), current_date - 3, current_date - 2)`);
  await client.query(`create table public.orders (id integer primary key)`);
  await client.query(`select posthorn.watch('public.orders')`);
  const triggers = async () => {
    const { rows } = await client.query<{ definition: string; function: string }>(
      `select pg_get_triggerdef(t.oid) as definition, p.proname as function
       from pg_trigger t join pg_proc p on p.oid = t.tgfoid
       where not t.tgisinternal order by t.tgrelid::regclass::text, t.tgname`,
    );
    return rows;
  };
  const before = await triggers();
  for (const name of ['wake_history', 'refuse_closed_tenant'])
    t.ok(
      before.some((trigger) => trigger.function === name),
      `${name} is in use`,
    );
  const names = readdirSync(join(copy, 'schema/functions'));
  for (const name of names) {
    const path = `functions/${name}`;
    const text = readFileSync(join(copy, 'schema', path), 'utf8');
    writeSchemaFile(copy, path, `${text}-- A later version.\n`);
  }
  t.equal((await migrate(databaseUrl)).changed.length, names.length);
  t.strictSame(await triggers(), before);
});

t.test('a missing function is created again, with its permissions', async (t) => {
  const { databaseUrl, client, migrate } = await start(t);
  const before = await dumpSchema(client);
  await client.query('drop function posthorn.try_jsonb cascade');
  t.match(await migrate(databaseUrl), {
    changed: [
      'functions/deliveries_between.sql',
      'functions/try_jsonb.sql',
      'functions/webhook_data.sql',
      'views/tenant_webhooks.sql',
      'views/watches.sql',
      'views/webhooks.sql',
    ],
  });
  t.equal(await dumpSchema(client), before);
});

t.test('a function with other arguments or another result replaces the old one', async (t) => {
  const { databaseUrl, copy, client, functions, migrate } = await start(t);
  await client.query(
    `create view public.ids as select posthorn.uuidv7_time(id) from posthorn.webhook_payloads`,
  );
  // Bound by triggers, defaults, views and SQL bodies of ours.
  changeFile(
    copy,
    'functions/uuidv7_time.sql',
    '(id uuid)',
    () => '(id uuid, later integer default 0)',
  );
  changeFile(
    copy,
    'functions/try_jsonb.sql',
    '(body bytea)',
    () => '(body bytea, later integer default 0)',
  );
  changeFile(
    copy,
    'functions/send_many.sql',
    'headers jsonb default null',
    (found) => `${found}, later integer default 0`,
  );
  changeFile(copy, 'functions/report_answer.sql', 'returns boolean', () => 'returns integer');
  changeFile(copy, 'functions/report_answer.sql', 'return found', () => 'return 1');
  changeFile(copy, 'functions/require_tenant.sql', '(tenant text)', () => '(named text)');
  changeFile(
    copy,
    'functions/require_tenant.sql',
    `if tenant = 'default'`,
    () => `if named = 'default'`,
  );
  changeFile(copy, 'functions/require_tenant.sql', '= require_tenant.tenant', () => '= named');
  changeFile(copy, 'functions/require_tenant.sql', `"%"', tenant`, () => `"%"', named`);
  await migrate(databaseUrl);
  for (const [name, count] of [
    ['uuidv7_time%', 2],
    ['try_jsonb%', 2],
    ['send_many%', 2],
    ['require_tenant(_before%)?', 2],
    ['report_answer%', 1],
  ] as const)
    t.equal((await functions(name)).length, count, `${name}: the old one calls the new, if it can`);
  const works = async () => {
    await client.query('select * from public.ids');
    await client.query(`select posthorn.send('a', '1')`);
    await client.query('select payload from posthorn.webhooks');
  };
  await works();
  t.strictSame(await migrate(databaseUrl), { migrations: [], changed: [] }, 'that is all');
  // The next change drops those that nobody uses.
  changeFile(copy, 'functions/require_tenant.sql', 'there is no tenant', () => 'no such tenant');
  await migrate(databaseUrl);
  await works();
  const old = await functions('%_before_%');
  t.equal(old.length, 1, 'what a view of somebody else uses stays');
  await client.query('drop view public.ids');
  changeFile(copy, 'functions/require_tenant.sql', 'no such tenant', () => 'no tenant');
  await migrate(databaseUrl);
  const fresh = await createTestDatabase(t, { migrated: false });
  await migrate(fresh);
  t.equal(await dumpSchema(client), await dumpSchema(await connect(t, fresh)));
});

t.test('an error names the foreign object that prevents a change', async (t) => {
  const { databaseUrl, copy, client, functions, migrate } = await start(t);
  await client.query(
    `create view public.counts as select posthorn.count_json_elements(body) from posthorn.webhook_payloads`,
  );
  const before = await functions('count_json_elements%');
  changeFile(
    copy,
    'functions/count_json_elements.sql',
    '(body bytea)',
    () => '(body bytea, later integer)',
  );
  const inTheWay = {
    name: 'OperatorError',
    message:
      /count_json_elements .*depends on the old one: view public\.counts depends on function.*Drop that object, and start Posthorn again/,
  };
  await t.rejects(migrate(databaseUrl), inTheWay);
  t.strictSame(await functions('count_json_elements%'), before);
  await client.query('drop view public.counts');
  await migrate(databaseUrl);
  await client.query(
    `create view public.counts as select posthorn.count_json_elements(body, 1) from posthorn.webhook_payloads`,
  );
  removeSchemaFile(copy, 'functions/count_json_elements.sql');
  await t.rejects(migrate(databaseUrl), {
    name: 'OperatorError',
    message: /this version has no posthorn\.count_json_elements.*: view public\.counts depends on/,
  });
});

t.test('an older version does not start, and does not restore its functions', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const newer = t.testdir();
  copyVersion(newer);
  setVersion(newer, '99.0.0');
  changeFile(newer, 'functions/require_tenant.sql', 'there is no tenant', () => 'no such tenant');
  await (await importMigrate(newer)).migrate(databaseUrl);
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
  t.equal(await cli.exited, 1);
  t.match(
    cli.output.stderr,
    /^posthorn: The database "\w+" .* has functions of Posthorn 99\.0\.0, but this is \d+\.\d+\.\d+\. .*\n$/m,
  );
  const client = await connect(t, databaseUrl);
  await t.rejects(client.query(`select posthorn.send('a', '1', 'nobody')`), /no such tenant/);
});

t.test(
  'a process of the previous version accepts webhooks during and after an upgrade',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    await client.query(`insert into posthorn.subscriptions (url) values ('http://a.example/')`);
    const pool = new pg.Pool({ connectionString: databaseUrl, max: 1 });
    t.teardown(() => pool.end());
    const webhook = (subscriptionId: number | null) => ({
      subscriptionId,
      tenant: 'default',
      eventType: 'a',
      channels: null,
      orderingKey: null,
      contentType: 'application/json',
      headers: null,
      body: Buffer.from('{}'),
      dataStart: 0,
      deliverAt: null,
      idempotency: null,
    });
    const accept = async () => {
      for (const id of [1, null]) {
        const { answers } = await acceptWebhooks(pool, [webhook(id)], {
          bulk: false,
          apart: false,
        });
        t.match(answers, [{ deliveries: 1 }]);
      }
    };
    await accept();
    const next = t.testdir();
    makeNextVersion(next);
    await (await importMigrate(next)).migrate(databaseUrl);
    await accept();
    const { rows } = await client.query('select posthorn.next_version() as version');
    t.match(rows, [{ version: 'next' }]);
  },
);
