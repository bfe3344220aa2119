// Another process sends the webhooks that a killed process had in memory.
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { createSession } from '../../src/db/session.ts';
import { createPresence } from '../../src/maintenance/worker-lease.ts';
import { createAcceptGate } from '../helpers/accept-gate.ts';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { watchJobs } from '../helpers/deliver-jobs.ts';
import { anyLoop } from '../helpers/loops.ts';
import { type Answer, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

// Both wait until a killed process is forgotten.
t.jobs = 2;

/** A process with API and worker that hands deliveries over, and a subscription. */
async function start(t: Test, answer?: Answer) {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t, answer);
  const cli = await startCli(t, ['start'], { DATABASE_URL: databaseUrl });
  const url = await cli.url();
  const post = async (path: string, body: object) => {
    const response = await fetch(`${url}${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return (await response.json()) as { id: number; webhook_id: string };
  };
  const { id } = await post('/v1/subscriptions', { url: receiver.url });
  const client = await connect(t, databaseUrl);
  const workers = async () =>
    (await client.query(`select from posthorn.workers where pool_id like 'hand-over-%'`)).rowCount;
  await until('deliveries can be handed over', async () => (await workers()) === 1);
  return { databaseUrl, receiver, cli, post, id, client, workers };
}

t.test('webhooks that a killed process was sending are sent by another process', async (t) => {
  const { databaseUrl, receiver, cli, post, id, client, workers } = await start(
    t,
    (response, _request, nth) => {
      // The first three requests are never answered.
      if (nth > 3) response.end();
    },
  );
  const ids: string[] = [];
  for (let n = 0; n < 3; n++) ids.push((await post(`/ingest/${id}`, { n })).webhook_id);
  await receiver.waitFor(3);
  const jobs = await client.query('select from graphile_worker._private_jobs');
  t.equal(jobs.rowCount, 0, 'they have no jobs');

  cli.kill('SIGKILL');
  await cli.exited;
  const other = await startTestService(t, { DATABASE_URL: databaseUrl });
  await until('all are delivered', async () => {
    return (await other.request('GET', '/v1/stats')).json.succeeded === 3;
  });
  t.equal(receiver.received.length, 6);
  const again = receiver.received.slice(3).map(({ headers }) => headers['webhook-id']);
  t.strictSame(again.sort(), ids.sort());
  await until('the killed process is forgotten', async () => (await workers()) === 1);
});

t.test('a webhook that is committed after its process was found dead is sent once', async (t) => {
  const { databaseUrl, receiver, cli, post, id, client, workers } = await start(t);
  const jobs = await watchJobs(t, databaseUrl);
  const other = await startTestService(t, { DATABASE_URL: databaseUrl });
  await until('both are known', async () => (await workers()) === 2);
  const findDead = await createFinder(t, databaseUrl);
  const gate = await createAcceptGate(t, databaseUrl);
  await gate.close();
  const answer = post(`/ingest/${id}`, { n: 1 }).catch(() => 'none');
  await gate.untilWaiting(1);
  const { pid } = cli.child;
  cli.kill('SIGKILL');
  await cli.exited;
  t.equal(await answer, 'none');
  // Postgres goes on with its statement.
  await until('it is found dead', async () => {
    await findDead();
    const { rowCount } = await client.query(
      `select from posthorn.workers where pid = $1 and pool_id like 'pool-%'`,
      [pid],
    );
    return rowCount === 0;
  });
  t.equal((await client.query('select from posthorn.deliveries')).rowCount, 0);
  await gate.open();
  // It would count as lost after 90 s.
  await until(
    'it is delivered',
    async () => (await other.request('GET', '/v1/stats')).json.succeeded === 1,
    60_000,
  );
  const { rows } = await client.query('select webhook_id as id from posthorn.deliveries');
  t.strictSame(await jobs(), [rows[0].id]);
  t.strictSame(
    receiver.received.map(({ headers }) => headers['webhook-id']),
    [rows[0].id],
  );
  await until('the killed process is forgotten', async () => (await workers()) === 1);
});

/** Finds dead workers at once, where a process looks for them every five seconds. */
async function createFinder(t: Test, databaseUrl: string): Promise<() => Promise<number>> {
  const log = pino({ level: 'silent' });
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  const session = createSession({ databaseUrl, purpose: 'session', loop: anyLoop, log });
  t.teardown(() => pool.end());
  return createPresence(pool, session, anyLoop, log).rescue;
}
