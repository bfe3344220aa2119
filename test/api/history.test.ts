import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Waits until nothing is owed any more. */
async function settled(posthorn: TestService): Promise<void> {
  await until('everything has ended', async () => {
    const { json } = await posthorn.request('GET', '/v1/stats');
    return json.queue_depth === 0 && json.retrying === 0;
  });
}

t.test('an empty history is an empty list, not an error', async (t) => {
  const posthorn = await startTestService(t);
  const logs = await posthorn.request('GET', '/logs/deliverylogs');
  t.equal(logs.status, 200);
  t.strictSame(logs.json, []);
  t.strictSame((await posthorn.request('GET', '/v1/deliveries')).json, {
    data: [],
    next_cursor: null,
  });
  t.match((await posthorn.request('GET', '/v1/stats')).json, {
    accepted: 0,
    success_rate: null,
    queue_depth: 0,
  });
  const { status, json } = await posthorn.request(
    'GET',
    '/v1/webhooks/01890a5d-ac96-774b-bcce-b302099a8057',
  );
  t.equal(status, 404);
  t.match(json.detail, /no webhook 01890a5d/);
});

t.test('a webhook shows its deliveries, their attempts and when the next one is due', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 503 : 200;
    response.end(nth === 1 ? 'not now' : 'thank you');
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1s,1h' });
  const id = await posthorn.subscribe(`${receiver.url}/hook`);
  const webhookId = await posthorn.ingest(id, { order: 7 });
  const waiting = await until('the first attempt is recorded', async () => {
    const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
    return json.deliveries[0].attempts.length === 1 && json;
  });
  t.match(waiting, {
    webhook_id: webhookId,
    content_type: 'application/json',
    bytes: 11,
    deliveries: [
      {
        webhook_id: webhookId,
        subscription_id: id,
        subscription_url: `${receiver.url}/hook`,
        state: 'pending',
        attempts_made: 1,
        ended_at: null,
        attempts: [
          {
            attempt_number: 1,
            status: 'failed',
            response_code: 503,
            error_code: 'http_status',
            error: 'The receiver answered 503 Service Unavailable.',
            response_excerpt: 'not now',
          },
        ],
      },
    ],
  });
  const [{ next_attempt_at, attempts }] = waiting.deliveries;
  const delayMs = Date.parse(next_attempt_at) - Date.parse(attempts[0].timestamp);
  // It counts from the transaction's beginning, the attempt's time from later: a little, or more if the machine is busy.
  t.ok(delayMs >= 300 && delayMs <= 1210, `the next attempt is due after 1s ± 20 %: ${delayMs} ms`);
  const done = await until('it has succeeded', async () => {
    const { json } = await posthorn.request('GET', `/v1/webhooks/${webhookId}`);
    return json.deliveries[0].state === 'succeeded' && json;
  });
  t.match(done.deliveries[0], {
    attempts_made: 2,
    next_attempt_at: null,
    attempts: [
      { attempt_number: 1 },
      { attempt_number: 2, status: 'success', response_code: 200, error: null },
    ],
  });
});

t.test('logs are filtered and paged, newest first, without gaps or repeats', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    response.statusCode = path === '/bad' ? 500 : 200;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '50ms' });
  const good = await posthorn.subscribe(`${receiver.url}/good`);
  const bad = await posthorn.subscribe(`${receiver.url}/bad`);
  const webhooks = await Promise.all(
    Array.from({ length: 40 }, (_, n) => posthorn.ingest(n % 2 === 0 ? good : bad, { n })),
  );
  await settled(posthorn);

  const all = (await posthorn.request('GET', '/logs/deliverylogs?limit=1000')).json;
  t.equal(all.length, 60, '20 succeed at once, 20 fail twice');
  t.strictSame(Object.keys(all[0]).sort(), [
    'attempt_number',
    'duration_ms',
    'error',
    'error_code',
    'id',
    'response_code',
    'status',
    'subscription_id',
    'timestamp',
    'webhook_id',
  ]);
  const times = all.map(({ timestamp }: { timestamp: string }) => timestamp);
  t.strictSame(times, times.toSorted().reverse(), 'newest first');

  const paged: unknown[] = [];
  let pages = 0;
  for (let path: string | undefined = '/logs/deliverylogs?limit=7'; path !== undefined; pages++) {
    const { json, headers } = await posthorn.request('GET', path);
    t.ok(json.length <= 7);
    paged.push(...json);
    path = /^<([^>]+)>; rel="next"$/.exec(headers.get('link') ?? '')?.[1];
  }
  t.strictSame(paged, all);
  t.equal(pages, 9);

  const list = async (query: string) =>
    (await posthorn.request('GET', `/logs/deliverylogs?limit=1000&${query}`)).json;
  t.equal((await list(`subscription_id=${good}`)).length, 20);
  t.equal((await list('status=failed')).length, 40);
  t.equal((await list('status=success')).length, 20);
  t.equal((await list(`webhook_id=${webhooks[1]}`)).length, 2);
  t.equal((await list(`webhook_id=${webhooks[1]}&subscription_id=${good}`)).length, 0);
  const middle = all[30].timestamp;
  const [since, until] = [await list(`since=${middle}`), await list(`until=${middle}`)];
  t.equal(since.length + until.length, 60, 'since and until meet without a gap');
  t.ok(since.some(({ id }: { id: number }) => id === all[30].id));

  for (const query of [
    'limit=0',
    'limit=x',
    'status=lost',
    'webhook_id=7',
    'since=yesterday',
    'cursor=abc',
    'sort=up',
  ]) {
    const reply = await posthorn.request('GET', `/logs/deliverylogs?${query}`);
    t.equal(reply.status, 400, query);
    t.match(reply.json.errors[0].field, `query.${query.split('=')[0]}`);
  }
});

t.test('deliveries are filtered by state and subscription, and paged', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    response.statusCode = path === '/gone' ? 404 : 200;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '20ms' });
  const good = await posthorn.subscribe(`${receiver.url}/good`);
  const gone = await posthorn.subscribe(`${receiver.url}/gone`);
  for (let n = 0; n < 10; n++) await posthorn.ingest(n % 2 === 0 ? good : gone, { n });
  await settled(posthorn);

  const list = async (query: string) =>
    (await posthorn.request('GET', `/v1/deliveries?${query}`)).json;
  const all = await list('');
  t.equal(all.data.length, 10);
  const ids = all.data.map(({ webhook_id }: { webhook_id: string }) => webhook_id);
  t.strictSame(ids, ids.toSorted().reverse(), 'newest webhooks first');
  t.equal((await list('state=succeeded')).data.length, 5);
  t.equal((await list(`state=failed&subscription_id=${gone}`)).data.length, 5);
  t.equal((await list(`state=failed&subscription_id=${good}`)).data.length, 0);
  t.equal((await list(`since=${new Date(Date.now() + 60_000).toISOString()}`)).data.length, 0);

  const first = await list('limit=6');
  const second = await list(`limit=6&cursor=${first.next_cursor}`);
  t.strictSame([...first.data, ...second.data], all.data);
  t.equal(second.next_cursor, null);
});

t.test('stats count what happened, in all and for a subscription', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    response.statusCode = path === '/bad' ? 500 : 200;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '50ms' });
  const good = await posthorn.subscribe(`${receiver.url}/good`);
  const bad = await posthorn.subscribe(`${receiver.url}/bad`);
  for (let n = 0; n < 6; n++) await posthorn.ingest(n < 4 ? good : bad, { n });
  await settled(posthorn);
  const stats = async (query: string) => (await posthorn.request('GET', `/v1/stats?${query}`)).json;
  t.match(await stats('window=1h'), {
    window: '1h',
    accepted: 6,
    succeeded: 4,
    failed: 2,
    retrying: 0,
    attempts: 8,
    success_rate: 0.5,
    queue_depth: 0,
    oldest_due_at: null,
  });
  t.match(await stats(`subscription_id=${good}`), {
    accepted: 4,
    succeeded: 4,
    failed: 0,
    success_rate: 1,
  });
  t.match(await stats(`subscription_id=${bad}`), {
    accepted: 2,
    succeeded: 0,
    failed: 2,
    success_rate: 0,
  });
  const { attempt_latency_ms: latency } = await stats('window=5m');
  t.ok(latency.p50 >= 0 && latency.p50 <= latency.p95 && latency.p95 <= latency.p99);
  for (const window of ['', '0s', 'soon', '90d']) {
    t.equal((await posthorn.request('GET', `/v1/stats?window=${window}`)).status, 400, window);
  }
});

t.test('tables and views show the same history by SQL', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end();
  });
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe(receiver.url);
  const webhookId = await posthorn.ingest(id, { amount: 12 });
  await settled(posthorn);
  const client = await connect(t, posthorn.databaseUrl);
  const one = async (sql: string) => (await client.query(sql)).rows[0];
  t.match(await one('select * from posthorn.delivery_report'), {
    webhook_id: webhookId,
    subscription_id: id,
    subscription_url: `${receiver.url}`,
    state: 'succeeded',
    attempts: 2,
    last_response_code: 200,
  });
  t.match(await one('select * from posthorn.attempt_report order by at limit 1'), {
    attempt_number: 1,
    status: 'failed',
    response_code: 500,
    subscription_url: receiver.url,
  });
  t.match(await one('select * from posthorn.subscription_health'), {
    subscription_id: id,
    attempts_last_hour: '2',
    success_rate_last_day: /^0\.50*$/,
    last_error_code: 'http_status',
  });
  t.match(await one('select payload from posthorn.webhooks'), { payload: { amount: 12 } });
  // jsonb cannot hold this; the view must not fail on it.
  await posthorn.ingest(id, '{"nul":"\\u0000"}');
  t.equal((await client.query('select * from posthorn.webhooks')).rowCount, 2);
});

async function subscribeToAll(posthorn: TestService): Promise<number> {
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: 'http://127.0.0.1:9/',
    event_types: ['*'],
  });
  return json.id;
}

t.test('a list of webhooks can say in which states their deliveries are', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  const subscriptions = [await subscribeToAll(posthorn), await subscribeToAll(posthorn)];
  const body = { event_type: 'order.created', data: {} };
  const { json } = await posthorn.request('POST', '/v1/webhooks', body);
  const alone = await posthorn.ingest(subscriptions[0] ?? 0);
  await client.query(
    `update posthorn.deliveries set state = 'failed', next_attempt_at = null, ended_at = now()
     where webhook_id = $1 and subscription_id = $2`,
    [json.webhook_id, subscriptions[1]],
  );
  const listed = await posthorn.request('GET', '/v1/webhooks?include=deliveries');
  t.strictSame(
    listed.json.data.map(({ webhook_id, deliveries }: Record<string, unknown>) => [
      webhook_id,
      deliveries,
    ]),
    [
      [alone, { pending: 1 }],
      [json.webhook_id, { pending: 1, failed: 1 }],
    ],
  );
  const plain = await posthorn.request('GET', '/v1/webhooks');
  t.notOk('deliveries' in plain.json.data[0], 'only if it is asked for');
});

t.test(
  'a webhook is shown with the newest attempts of its deliveries, at most so many as asked for',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const client = await connect(t, posthorn.databaseUrl);
    const ids = [];
    for (let n = 0; n < 3; n += 1) ids.push(await subscribeToAll(posthorn));
    const { json: sent } = await posthorn.request('POST', '/v1/webhooks', {
      event_type: 'order.created',
      data: {},
    });
    await client.query(
      `insert into posthorn.delivery_attempts (webhook_id, subscription_id, attempt_number, status, duration_ms)
     select $1, id, n, 'failed', n from unnest($2::integer[]) as id, generate_series(1, 60) as n`,
      [sent.webhook_id, ids],
    );
    const shapeOf = async (query: string) => {
      const { json } = await posthorn.request('GET', `/v1/webhooks/${sent.webhook_id}${query}`);
      const deliveries = json.deliveries.map(
        ({
          subscription_id,
          attempts,
        }: {
          subscription_id: number;
          attempts: { attempt_number: number }[];
        }) => [subscription_id, attempts[0]?.attempt_number, attempts.at(-1)?.attempt_number],
      );
      return { deliveries, more: json.more_deliveries };
    };
    t.strictSame(await shapeOf(''), { deliveries: ids.map((id) => [id, 11, 60]), more: false });
    t.strictSame(await shapeOf('?max_deliveries=2'), {
      deliveries: ids.slice(0, 2).map((id) => [id, 11, 60]),
      more: true,
    });
  },
);

t.test(
  'a webhook with very many deliveries is shown and cancelled, failed ones first',
  async (t) => {
    const many = 12_000;
    const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const client = await connect(t, posthorn.databaseUrl);
    const first = await subscribeToAll(posthorn);
    await client.query(
      `insert into posthorn.subscriptions (url, event_types, secret)
     select url, event_types, secret from posthorn.subscriptions, generate_series(2, ${many})`,
    );
    const { json: sent } = await posthorn.request('POST', '/v1/webhooks', {
      event_type: 'order.created',
      data: {},
    });
    t.equal(sent.deliveries, many);
    const setState = (state: string, attempts: number, subscriptions: number[]) =>
      client.query(
        `update posthorn.deliveries set state = $1::posthorn.delivery_state, attempt_count = $2,
         next_attempt_at = case when $1 = 'pending' then now() + interval '1 day' end,
         ended_at = case when $1 <> 'pending' then now() end
       where webhook_id = $3 and subscription_id = any ($4)`,
        [state, attempts, sent.webhook_id, subscriptions],
      );
    const last = first + many - 1;
    await setState('succeeded', 1, [first]);
    await setState('cancelled', 0, [first + 1, last - 1]);
    await setState('failed', 5, [first + 2, last]);
    await setState('pending', 2, [first + 3]);

    const { status, json } = await posthorn.request('GET', `/v1/webhooks/${sent.webhook_id}`);
    t.equal(status, 200);
    t.equal(json.deliveries.length, 100);
    t.equal(json.more_deliveries, true);
    t.strictSame(
      json.deliveries
        .slice(0, 4)
        .map(({ subscription_id }: { subscription_id: number }) => subscription_id - first),
      [2, many - 1, 3, 4],
    );

    const cancelled = await posthorn.request('POST', `/v1/webhooks/${sent.webhook_id}/cancel`, {});
    t.equal(cancelled.status, 200);
    t.equal(cancelled.json.cancelled, many - 3);
    const { rows } = await client.query(
      `select state, count(*)::integer as number from posthorn.deliveries where webhook_id = $1 group by state order by 1`,
      [sent.webhook_id],
    );
    t.strictSame(rows, [
      { state: 'succeeded', number: 1 },
      { state: 'failed', number: 2 },
      { state: 'cancelled', number: many - 3 },
    ]);
  },
);

t.test('a request that the database does not finish in time is told so', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  const { json: sent } = await posthorn.request('POST', '/v1/webhooks', {
    event_type: 'order.created',
    data: {},
  });
  await client.query('begin');
  await client.query('lock table posthorn.deliveries in access exclusive mode');
  const { status, headers, json } = await posthorn.request(
    'GET',
    `/v1/webhooks/${sent.webhook_id}`,
  );
  await client.query('rollback');
  t.equal(status, 503);
  t.match(json, {
    type: 'urn:posthorn:problem:unavailable',
    detail: /^The database did not finish this request in time\./,
  });
  t.ok(headers.get('retry-after'));
});
