// Lists and figures that are read from a replica of the database.
import t from 'tap';
import { collectLog } from '../helpers/log.ts';
import { startWithReplica } from '../helpers/replica.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const { primary, replica } = await startWithReplica(t);
const { log, lines } = collectLog();
const posthorn = await startTestService(
  t,
  { DATABASE_URL: primary.url, POSTHORN_REPORTING_URL: replica.url },
  log,
);
const subscriptionId = await posthorn.subscribe('http://127.0.0.1:9/');

const REPORTS = [
  '/v1/webhooks',
  '/v1/webhooks?include=deliveries',
  '/v1/deliveries',
  '/v1/attempts',
  '/v1/problems',
  '/v1/stats',
  '/v1/stats/series',
  '/logs/deliverylogs',
];
const FRESH = { 'cache-control': 'no-cache' };

const listed = async (headers = {}) => {
  const { json } = await posthorn.request('GET', '/v1/webhooks', undefined, headers);
  return json.data.map(({ webhook_id }: { webhook_id: string }) => webhook_id) as string[];
};

t.test('reports say how old the rows of the replica may be', async (t) => {
  const id = await posthorn.ingest(subscriptionId);
  await until('the replica has the webhook', async () => (await listed()).includes(id));
  for (const path of REPORTS) {
    const { status, headers } = await posthorn.request('GET', path);
    t.equal(status, 200, path);
    t.match(headers.get('age'), /^\d+$/, `${path} has an age`);
  }
});

t.test('who asks for fresh rows gets those of the primary', async (t) => {
  await replica.query('select pg_wal_replay_pause()');
  const id = await posthorn.ingest(subscriptionId);
  t.notOk((await listed()).includes(id), 'the replica does not have it yet');
  t.ok((await listed(FRESH)).includes(id), 'the primary has it');
  for (const path of REPORTS) {
    const { headers } = await posthorn.request('GET', path, undefined, FRESH);
    t.equal(headers.get('age'), null, `${path} is of the primary`);
  }
  const one = await posthorn.request('GET', `/v1/webhooks/${id}`);
  t.equal(one.status, 200, 'a webhook by its id is always read from the primary');
  await replica.query('select pg_wal_replay_resume()');
  await until('the replica has it', async () => (await listed()).includes(id));
});

t.test('the metrics say which server was read, and how old the replica is', async (t) => {
  const scrape = async () => (await posthorn.request('GET', '/metrics')).text;
  const readsOf = (text: string, server: string) =>
    Number(
      new RegExp(`^posthorn_report_reads_total\\{server="${server}"\\} (\\d+)$`, 'm').exec(
        text,
      )?.[1],
    );
  const before = await scrape();
  await posthorn.request('GET', '/v1/webhooks');
  await posthorn.request('GET', '/v1/webhooks', undefined, FRESH);
  const after = await scrape();
  for (const server of ['replica', 'primary'])
    t.equal(readsOf(after, server), readsOf(before, server) + 1, server);
  t.match(after, /^posthorn_replica_up 1$/m);
  t.match(after, /^posthorn_replica_age_seconds \d/m);
});

t.test('while the replica is away, the primary is read, and the log says so', async (t) => {
  const said = (text: RegExp) => lines.filter(({ msg }) => text.test(msg));
  await replica.stopImmediately();
  const id = await posthorn.ingest(subscriptionId);
  for (const path of REPORTS) {
    const { status, headers, text } = await posthorn.request('GET', path);
    t.equal(status, 200, `${path} ${text.slice(0, 200)}`);
    t.equal(headers.get('age'), null, `${path} is of the primary`);
  }
  t.ok((await listed()).includes(id));
  const { text: metrics } = await posthorn.request('GET', '/metrics');
  t.match(metrics, /^posthorn_replica_up 0$/m);
  t.notMatch(metrics, /^posthorn_replica_age_seconds \d/m);
  t.equal(said(/read from the primary, not from the replica/).length, 1);
  await replica.start();
  await until('the replica is read again', async () => {
    const { headers } = await posthorn.request('GET', '/v1/webhooks');
    return headers.get('age') !== null;
  });
  t.equal(said(/read from the replica again/).length, 1);
});
