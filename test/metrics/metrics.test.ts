import t from 'tap';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** A scrape: the values by the series, as Prometheus's text format has them. */
async function scrape({ url }: Pick<TestService, 'url'>): Promise<Map<string, number>> {
  const text = await (await fetch(new URL('/metrics', url))).text();
  const lines = text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return new Map(
    lines.map((line) => {
      const at = line.lastIndexOf(' ');
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

/** The same series of several processes, as PromQL's `sum()` adds them. */
async function sum(services: readonly TestService[], series: string): Promise<number | undefined> {
  const values = (await Promise.all(services.map(scrape))).flatMap((all) => all.get(series) ?? []);
  return values.length === 0 ? undefined : values.reduce((one, other) => one + other, 0);
}

t.test('series exist before the first webhook, so that rates see the first increase', async (t) => {
  const posthorn = await startTestService(t);
  const series = await scrape(posthorn);
  for (const status of ['success', 'failed', 'timeout', 'blocked'])
    t.equal(series.get(`posthorn_attempts_total{status="${status}"}`), 0, status);
  for (const reason of [
    'paused',
    'disabled',
    'circuit_open',
    'ordering',
    'rate_limit',
    'receiver_busy',
  ])
    t.equal(series.get(`posthorn_held_deliveries{reason="${reason}"}`), 0, reason);
  for (const name of [
    'posthorn_webhooks_accepted_total',
    'posthorn_queue_depth',
    'posthorn_oldest_due_age_seconds',
  ])
    t.equal(series.get(name), 0, name);
  t.equal(series.get('posthorn_group_size_count{group="accept"}'), 0);
  for (const from of ['queue', 'backlog'])
    t.equal(series.get(`posthorn_due_to_sent_seconds_count{from="${from}"}`), 0, from);
  t.ok(
    [...series.keys()].some((name) => /^posthorn_build_info\{version="[^"]+",node="v\d/.test(name)),
  );
  t.ok(series.has('posthorn_pool_waiting{pool="intake"}'));
});

t.test('a request is counted by its method, its route and the status of its answer', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(`${receiver.url}/hook`);
  for (let n = 0; n < 3; n++) await posthorn.ingest(id);
  await posthorn.request('GET', '/v1/subscriptions/77');
  await posthorn.request('GET', '/v1/no-such-route/1');
  await posthorn.request('GET', '/v1/no-such-route/2');
  const count = (labels: string) => `posthorn_http_request_duration_seconds_count{${labels}}`;
  const series = await until('requests are counted', async () => {
    const series = await scrape(posthorn);
    return series.get(count('method="none",route="none",status="404"')) === 2 ? series : undefined;
  });
  t.equal(series.get(count('method="POST",route="/ingest/:subscription_id",status="202"')), 3);
  t.equal(
    series.get(count('method="GET",route="/v1/subscriptions/:subscription_id",status="404"')),
    1,
  );
  t.ok((series.get('posthorn_group_size_sum{group="accept"}') ?? 0) === 3);
  t.notOk([...series.keys()].some((name) => name.includes('no-such-route')));
});

t.test('what waits is reported once for all processes, with its reason and its age', async (t) => {
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = 500;
    response.end();
  });
  const first = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const second = await startTestService(t, {
    POSTHORN_ROLE: 'api',
    DATABASE_URL: first.databaseUrl,
  });
  const both = [first, second];
  const due = await first.subscribe(`${receiver.url}/due`);
  const paused = await first.subscribe(`${receiver.url}/paused`);
  await first.request('POST', `/v1/subscriptions/${paused}/pause`);
  for (let n = 0; n < 3; n++) await first.ingest(paused);
  for (let n = 0; n < 2; n++) await first.ingest(due);
  await until('both figures are those of the database', async () => {
    const depth = await sum(both, 'posthorn_queue_depth');
    const held = await sum(both, 'posthorn_held_deliveries{reason="paused"}');
    return depth === 2 && held === 3 ? true : undefined;
  });
  t.ok(((await sum(both, 'posthorn_oldest_due_age_seconds')) ?? 0) > 0);

  const reporter = (await scrape(first)).has('posthorn_queue_depth') ? first : second;
  const other = reporter === first ? second : first;
  await reporter.service.stop();
  await until('the other process reports when the first has stopped', async () =>
    (await sum([other], 'posthorn_queue_depth')) === 2 ? true : undefined,
  );
  t.equal(await sum([other], 'posthorn_held_deliveries{reason="paused"}'), 3);
});

t.test('subscriptions have series of their own only if asked for, and only so many', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_METRICS_SUBSCRIPTIONS: '2' });
  const ids: number[] = [];
  for (let n = 0; n < 4; n++) {
    const id = await posthorn.subscribe(`${receiver.url}/hook`);
    ids.push(id);
    await posthorn.ingest(id);
    const counted = n < 2 ? id : 'other';
    const series = `posthorn_subscription_attempts_total{subscription_id="${counted}",status="success"}`;
    await until(
      'it is counted',
      async () => (await scrape(posthorn)).get(series) === Math.max(1, n - 1),
    );
  }
  const [first] = ids;
  await posthorn.ingest(first as number);
  await until(
    'it is counted in the series that it has',
    async () =>
      (await scrape(posthorn)).get(
        `posthorn_subscription_attempts_total{subscription_id="${first}",status="success"}`,
      ) === 2,
  );
  const labels = [...(await scrape(posthorn)).keys()].filter((name) =>
    name.startsWith('posthorn_subscription_attempt_seconds_total{'),
  );
  t.equal(labels.length, 3, labels.join(' '));

  const plain = await startTestService(t, { DATABASE_URL: posthorn.databaseUrl });
  const names = [...(await scrape(plain)).keys()];
  t.notOk(names.some((name) => name.includes('subscription_id')));
});
