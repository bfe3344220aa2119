// Another process sends the webhooks that a killed process had in memory.
import t from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test('webhooks that a killed process was sending are sent by another process', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const receiver = await startReceiver(t, (response, _request, nth) => {
    // The first three requests are never answered.
    if (nth > 3) response.end();
  });
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
