import t, { type Test } from 'tap';
import { loadSettings } from '../../src/config/settings.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { ADMIN_KEY, admin, join, startHomes, type TestHome } from './homes.ts';

async function run(t: Test, args: string[], env: Record<string, string>) {
  const { exited, output } = await startCli(t, args, env);
  return { code: await exited, ...output };
}

t.test(
  'posthorn homes add gives each database ids of its own, and homes list shows them',
  async (t) => {
    const [directoryUrl, first, second] = [
      await createTestDatabase(t),
      await createTestDatabase(t),
      await createTestDatabase(t),
    ];
    const key = Buffer.alloc(32, 1).toString('base64');
    const env = (home: string, databaseUrl: string) => ({
      POSTHORN_DIRECTORY_URL: directoryUrl,
      POSTHORN_HOME: home,
      DATABASE_URL: databaseUrl,
      POSTHORN_ENCRYPTION_KEY: key,
    });
    const add = (url: string) => ['homes', 'add', '--api-url', url];
    const one = await run(t, add('http://one.test'), env('one', first));
    t.equal(one.code, 0, one.stderr);
    const two = await run(t, [...add('https://two.test'), '--json'], env('two', second));
    t.strictSame(JSON.parse(two.stdout), {
      name: 'two',
      api_url: 'https://two.test',
      first_id: 10_000_001,
    });
    const again = await run(t, add('https://two.example'), env('two', second));
    t.equal(again.code, 0, again.stderr);
    const list = await run(t, ['homes', 'list'], env('one', first));
    t.match(list.stdout, /one +http:\/\/one\.test +1\n *two +https:\/\/two\.example +10000001/);

    const other = await run(t, add('http://x.test'), {
      ...env('three', await createTestDatabase(t)),
      POSTHORN_ENCRYPTION_KEY: Buffer.alloc(32, 2).toString('base64'),
    });
    t.equal(other.code, 1);
    t.match(other.stderr, /POSTHORN_ENCRYPTION_KEY is not that of the home one/);
    const none = await run(t, add('http://x.test'), { DATABASE_URL: first });
    t.match(none.stderr, /set POSTHORN_DIRECTORY_URL and POSTHORN_HOME/);

    const client = await connect(t, second);
    const { rows } = await client
      .query(
        `insert into posthorn.tenants (id) values ('acme');
     insert into posthorn.subscriptions (tenant, url) values ('acme', 'https://example.com') returning id`,
      )
      .then((results) => (results as unknown as { rows: { id: number }[] }[])[1] ?? { rows: [] });
    t.equal(rows[0]?.id, 10_000_001);
    await t.rejects(client.query(`select posthorn.send('a.b', '{}')`), { code: 'PH002' });
    const { rows: attempts } = await client.query(
      `select nextval('posthorn.delivery_attempts_id_seq')::text as id`,
    );
    t.equal(attempts[0].id, '10000000000001');
    await client.query(`select setval('posthorn.subscriptions_id_seq', 20000000)`);
    await t.rejects(
      client.query(
        `insert into posthorn.subscriptions (tenant, url) values ('acme', 'https://example.com')`,
      ),
      { message: /reached maximum value/ },
      'a range ends before the next one begins',
    );
  },
);

t.test('a database that has tenants of its own, or ids, can only begin a directory', async (t) => {
  const directoryUrl = await createTestDatabase(t);
  const [first, second] = [await createTestDatabase(t), await createTestDatabase(t)];
  for (const url of [first, second]) {
    const client = await connect(t, url);
    await client.query(`insert into posthorn.tenants (id) values ('acme')`);
    if (url === first)
      await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  }
  await join(directoryUrl, first, 'one', 'http://one.test');
  await t.rejects(join(directoryUrl, second, 'two', 'http://two.test'), {
    message: /The tenant acme is in this database, and lives at one/,
  });
  const third = await createTestDatabase(t);
  const client = await connect(t, third);
  await client.query(`insert into posthorn.subscriptions (url) values ('https://example.com')`);
  await t.rejects(join(directoryUrl, third, 'three', 'http://three.test'), {
    message: /has subscriptions or keys/,
  });
});

t.test('tenants and keys from before are found at once after the home has joined', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const env = { DATABASE_URL: databaseUrl, POSTHORN_ADMIN_KEY: ADMIN_KEY, POSTHORN_ROLE: 'api' };
  const before = await startTestService(t, env);
  await before.request('POST', '/v1/tenants', { id: 'acme' }, admin);
  const made = await before.request(
    'POST',
    '/v1/keys',
    { tenant: 'acme', scopes: ['read'] },
    admin,
  );
  await before.service.stop();
  const { homes, directory, directoryUrl } = await startHomes(t, []);
  t.strictSame(homes, []);
  await join(directoryUrl, databaseUrl, 'one', 'http://one.test');
  const { rows } = await directory.query('select tenant from posthorn.placements order by tenant');
  t.strictSame(rows, [{ tenant: 'acme' }, { tenant: 'default' }]);
  const { rows: keys } = await directory.query('select tenant from posthorn.placed_keys');
  t.strictSame(keys, [{ tenant: 'acme' }]);
  const after = await startTestService(t, {
    ...env,
    POSTHORN_DIRECTORY_URL: directoryUrl,
    POSTHORN_HOME: 'one',
  });
  const headers = { authorization: `Bearer ${made.json.key}` };
  t.equal((await after.request('GET', '/v1/webhooks', undefined, headers)).status, 200);
});

t.test('a home that the directory does not have does not start, and says what to do', async (t) => {
  await t.rejects(
    startTestService(t, {
      POSTHORN_DIRECTORY_URL: await createTestDatabase(t),
      POSTHORN_HOME: 'one',
    }),
    { message: /the directory has no such home.*posthorn homes add/ },
  );
  t.throws(() => loadSettings({ POSTHORN_HOME: 'one' }), {
    message: /without POSTHORN_DIRECTORY_URL/,
  });
  t.throws(() => loadSettings({ POSTHORN_DIRECTORY_URL: 'postgres://x/y' }), {
    message: /needs POSTHORN_HOME/,
  });
  t.throws(() => loadSettings({ POSTHORN_DIRECTORY_URL: 'postgres://x/y', POSTHORN_HOME: 'A b' }), {
    message: /is not the name of a home/,
  });
});

t.test('without the setting, a request asks the database for nothing of placement', async (t) => {
  const { homes } = await startHomes(t, ['one']);
  const [one] = homes as [TestHome];
  const alone = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, alone.databaseUrl);
  await alone.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
  const { rows } = await client.query(
    `select application_name as name from pg_stat_activity
     where datname = current_database() and application_name like '% directory%'`,
  );
  t.strictSame(rows, [], 'no connection to a directory');
  const { rows: triggers } = await client.query(
    `select from pg_trigger where tgrelid = 'posthorn.webhook_payloads'::regclass and tgname = 'refuse_closed_tenant'`,
  );
  t.equal(triggers.length, 0, 'no trigger on webhooks');
  const scanned = await client.query(
    `select coalesce(sum(seq_scan + coalesce(idx_scan, 0)), 0)::integer as number from pg_stat_user_tables
     where schemaname = 'posthorn' and relname in ('homes', 'placements', 'placed_keys', 'placed_subscriptions')`,
  );
  t.equal(scanned.rows[0].number, 0, 'no table of the directory is read');
  t.equal(
    (await one.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} }, admin)).status,
    202,
  );
});
