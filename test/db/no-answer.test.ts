import { createServer, connect as dial, type Socket } from 'node:net';
import pg from 'pg';
import t, { type Test } from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { until } from '../helpers/until.ts';

/** A way to the database that can swallow all that is sent, as a network does that drops packets. */
async function startWay(t: Test, databaseUrl: string) {
  const target = new pg.Client({ connectionString: databaseUrl });
  const sockets: Socket[] = [];
  let swallows = false;
  const server = createServer((socket) => {
    const other = target.host.startsWith('/')
      ? dial(`${target.host}/.s.PGSQL.${target.port}`)
      : dial(target.port, target.host);
    for (const [from, to] of [
      [socket, other],
      [other, socket],
    ] as const) {
      sockets.push(from);
      from.on('data', (chunk) => void (swallows || to.write(chunk)));
      from.on('close', () => to.destroy());
      from.on('error', () => {});
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const { port } = server.address() as { port: number };
  return {
    url: `postgresql://${target.user}:${target.password ?? 'x'}@127.0.0.1:${port}/${target.database}`,
    swallow: (yes: boolean) => {
      swallows = yes;
    },
  };
}

t.test(
  'without answers the first caller waits for the timeout, and others are refused',
  async (t) => {
    const way = await startWay(t, await createTestDatabase(t));
    const pool = createPool({ connectionString: way.url, purpose: 'test', max: 2, timeoutMs: 400 });
    t.teardown(() => pool.end());
    await pool.query('select 1');

    way.swallow(true);
    await t.rejects(pool.query('select 1'), /Query read timeout/);
    const since = performance.now();
    await t.rejects(pool.query('select 1'), /does not answer/);
    await t.rejects(pool.connect(), /does not answer/);
    t.ok(performance.now() - since < 200, 'at once');

    way.swallow(false);
    const answer = await until('the database answers', () => pool.query('select 1 as one'));
    t.strictSame(answer.rows, [{ one: 1 }]);
    t.ok(pool.totalCount <= 2, 'connections that timed out are gone');
  },
);

t.test('a connection that was taken out is ended with its statement', async (t) => {
  const way = await startWay(t, await createTestDatabase(t));
  const pool = createPool({ connectionString: way.url, purpose: 'test', max: 1, timeoutMs: 400 });
  t.teardown(() => pool.end());
  const client = await pool.connect();
  way.swallow(true);
  await t.rejects(client.query('select 1'), /Query read timeout/);
  way.swallow(false);
  // As graphile-worker does, whatever happened.
  client.release();
  const answer = await until('another one is made', () => pool.query('select 2 as two'));
  t.strictSame(answer.rows, [{ two: 2 }]);
});
