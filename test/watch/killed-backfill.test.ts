// A backfill while processes are killed. On a Postgres of its own, because killing one of its processes restarts it.
import { chmod, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import { startEmbeddedPostgres } from '../../src/db/embedded/postgres.ts';
import { migrate } from '../../src/db/migrate.ts';
import { startCli } from '../helpers/cli.ts';
import { until } from '../helpers/until.ts';

const ROWS = 12_000;
/** The rows at which the condition waits for this lock: in the middle of a portion. */
const [FIRST_STOP, SECOND_STOP, LOCK] = [3_500, 7_500, 4711];

t.test('a backfill sends each row once, though a worker and a backend are killed', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'posthorn-killed-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  const postgres = await startEmbeddedPostgres(join(dir, 'data'), {
    serverSettings: { fsync: 'off', shared_buffers: '32MB' },
  });
  t.teardown(() => postgres.stop());
  await migrate(postgres.url);
  const connect = async () => {
    const client = new pg.Client(postgres.url);
    client.on('error', () => {});
    await client.connect();
    t.teardown(() => client.end().catch(() => {}));
    return client;
  };
  const startWorker = () =>
    startCli(t, ['start'], { DATABASE_URL: postgres.url, POSTHORN_ROLE: 'worker' });
  /** Waits until a portion waits for the lock, and returns the process of Postgres that sends it. */
  const untilStopped = (client: pg.Client) =>
    until('a portion is stopped in its middle', async () => {
      const { rows } = await client.query<{ pid: number }>(
        `select pid from pg_locks where locktype = 'advisory' and objid = ${LOCK} and not granted`,
      );
      return rows[0]?.pid;
    });
  const rowsSent = async (client: pg.Client) =>
    Number((await client.query('select rows_sent from posthorn.backfills')).rows[0]?.rows_sent);

  let client = await connect();
  const lock = () => client.query(`select pg_advisory_lock(${LOCK})`);
  /** Lets the portion that waits go on, and returns when its transaction has ended, with the lock for the next stop. */
  const passStop = async () => {
    await client.query(`select pg_advisory_unlock(${LOCK})`);
    await lock();
  };
  await client.query(`
    create schema shop;
    create table shop.orders (id integer, note text);
    insert into shop.orders select n, 'a' from generate_series(1, ${ROWS}) n;
    create function shop.wait() returns boolean language sql as
      'select pg_advisory_xact_lock_shared(${LOCK}) is not null';
    select posthorn.watch('shop.orders', ordering_key => 'id',
      "when" => 'case when new.id in (${FIRST_STOP}, ${SECOND_STOP}) then shop.wait() else true end');
    select posthorn.backfill('shop.orders')`);
  await lock();

  const worker = await startWorker();
  await untilStopped(client);
  const sentBefore = await rowsSent(client);
  t.ok(sentBefore > 0 && sentBefore < FIRST_STOP, `${sentBefore} rows were committed`);
  worker.kill('SIGKILL');
  await worker.exited;
  await passStop();
  t.equal(await rowsSent(client), sentBefore, 'the portion of the killed worker was not committed');

  await startWorker();
  await untilStopped(client);
  await passStop();
  process.kill(await untilStopped(client), 'SIGKILL');
  // The old connection, and new ones until Postgres has noticed, end with its other processes.
  await until('the backfill has ended', async () => {
    const now = await connect().catch(() => undefined);
    const seen = await now
      ?.query('select state, error from posthorn.backfills')
      .catch(() => undefined);
    await now?.end().catch(() => {});
    if (seen?.rows[0]?.state === 'failed') throw new Error(seen.rows[0].error);
    return seen?.rows[0]?.state === 'succeeded';
  });
  client = await connect();
  const { rows } = await client.query(
    `select count(*)::integer as all, count(distinct ordering_key)::integer as different,
       (select rows_sent::integer from posthorn.backfills) as counted
     from posthorn.webhook_payloads`,
  );
  t.strictSame(rows, [{ all: ROWS, different: ROWS, counted: ROWS }]);
});
