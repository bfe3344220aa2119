// Connection URLs with several hosts, and which server a client ends up with.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { connectOrExplain } from '../../src/db/connect.ts';
import { readConnectionString } from '../../src/db/hosts.ts';
import { createPool } from '../../src/db/pool.ts';
import { type Postgres, startPostgres } from '../chaos/lib/postgres.ts';
import { freePort } from '../chaos/lib/processes.ts';
import { until } from '../helpers/until.ts';

t.test('a connection URL is read as libpq reads it', async (t) => {
  // libpq, 34.1.1.2 and 34.1.1.3.
  const cases: readonly [string, readonly (readonly [string, number])[], string?][] = [
    ['postgres://a:b@one/db', [['one', 5432]]],
    ['postgresql://one:6432/db?sslmode=verify-full', [['one', 6432]]],
    [
      'postgres://a:b@one:1,two:2/db',
      [
        ['one', 1],
        ['two', 2],
      ],
    ],
    [
      'postgres://one,two:2,[::1]:3,10.0.0.1',
      [
        ['one', 5432],
        ['two', 2],
        ['::1', 3],
        ['10.0.0.1', 5432],
      ],
    ],
    ['postgres://a:b%40c@one/db?target_session_attrs=read-write', [['one', 5432]], 'primary'],
    ['postgres://one/db?target_session_attrs=primary', [['one', 5432]], 'primary'],
    ['postgres://one/db?x=y&target_session_attrs=read-only', [['one', 5432]], 'standby'],
    ['postgres://one?target_session_attrs=standby', [['one', 5432]], 'standby'],
    ['postgres://one/db?target_session_attrs=any', [['one', 5432]], 'any'],
  ];
  for (const [url, hosts, target = 'primary'] of cases) {
    const read = readConnectionString(url);
    t.strictSame(
      read.hosts.map(({ host, port }) => [host, port]),
      hosts,
      url,
    );
    t.equal(read.target, target, url);
    read.hosts.forEach(({ host, port, url }) => {
      const client = new pg.Client({ connectionString: url });
      t.strictSame([client.host, client.port], [host, port], `node-postgres reads ${url}`);
    });
  }
});

t.test('a URL that cannot be read is refused without its password', async (t) => {
  for (const url of [
    'mysql://user:hush@host/db',
    'postgres://user:hush@one,/db',
    'postgres://user:hush@one,two:99999/db',
    'postgres://user:hush@one,two:x/db',
    'postgres://user:hush@one,a b/db',
    'postgres://user:hush@one/db?target_session_attrs=prefer',
  ]) {
    try {
      readConnectionString(url);
      t.fail(url);
    } catch (error) {
      t.notMatch((error as Error).message, /hush/, (error as Error).message);
    }
  }
});

const at = (servers: readonly { port: number }[], parameters = '') =>
  `postgres://posthorn@${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}/posthorn${parameters}`;

t.test('of several servers, only the primary is used', async (t) => {
  const [primary, standby] = await startPair(t);
  const closed = { port: await freePort() };
  const pool = createPool({
    connectionString: at([closed, standby, primary]),
    purpose: 'test',
    max: 2,
  });
  t.teardown(() => pool.end());
  const port = async () =>
    (await pool.query<{ port: number }>('select inet_server_port() as port')).rows[0]?.port;
  t.equal(await port(), primary.port);

  await primary.stopImmediately();
  await until('the lost connection is noticed', async () =>
    port().then(
      () => false,
      () => true,
    ),
  );
  await t.rejects(
    connectOrExplain(at([closed, standby, primary]), 'test'),
    {
      message: new RegExp(
        `None of the servers is the primary .*127.0.0.1:${standby.port}: The server 127.0.0.1:${standby.port} is a standby, which can only be read.*Check DATABASE_URL`,
      ),
    },
    'while there is no primary, the error says what each server is',
  );
  await t.rejects(connectOrExplain(at([standby]), 'test'), {
    message: /is a standby, which can only be read. Check DATABASE_URL/,
  });
  t.equal(
    await portOf(at([primary, standby], '?target_session_attrs=read-only')),
    standby.port,
    'a standby is used where one is asked for',
  );

  await standby.query('select pg_promote()');
  t.equal(
    await until('there is a primary again', () => port().catch(() => undefined)),
    standby.port,
    'the promoted server is found by itself',
  );
});

async function portOf(url: string): Promise<number> {
  const client = await connectOrExplain(url, 'test');
  try {
    const { rows } = await client.query<{ port: number }>('select inet_server_port() as port');
    return rows[0]?.port as number;
  } finally {
    await client.end();
  }
}

/** Starts two servers. The second is a standby that follows nobody, which is enough to be one. */
async function startPair(t: Test): Promise<[Postgres, Postgres]> {
  const start = async (name: string) => {
    const dir = join(t.testdir(), name);
    return await startPostgres(
      {
        quick: true,
        dir,
        onEnd: (undo) => t.teardown(async () => void (await undo())),
        progress() {},
      },
      { dir, settings: { fsync: 'off' } },
    );
  };
  const [primary, standby] = await Promise.all([start('primary'), start('standby')]);
  await standby.stopImmediately();
  writeFileSync(join(standby.cluster, 'standby.signal'), '');
  await standby.start();
  return [primary, standby];
}
