// Which deliveries go from intake to the sender in the same process, and that nobody can tell by what is sent.
import t, { type Test } from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { moveFutureTimes } from '../../src/deliveries/future-times.sql.ts';
import { requeueHandedOver } from '../../src/deliveries/handed-over.sql.ts';
import { wakeDeliveries } from '../../src/deliveries/wake.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { untilHandedOver, watchJobs } from '../helpers/deliver-jobs.ts';
import { type Answer, type ReceivedRequest, startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** A process with API and worker that hands deliveries over. */
async function start(t: Test, env: Record<string, string> = {}, answer?: Answer) {
  const receiver = await startReceiver(t, answer);
  const posthorn = await startTestService(t, env);
  const { databaseUrl } = posthorn;
  const client = await connect(t, databaseUrl);
  const create = async (fields: object): Promise<number> => {
    const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: [],
      ...fields,
    });
    if (status !== 201) throw new Error(text);
    return json.id;
  };
  const warm = await posthorn.subscribe((await startReceiver(t)).url);
  await untilHandedOver(t, posthorn, warm);
  const jobs = await watchJobs(t, databaseUrl);
  return { receiver, posthorn, client, create, jobs, databaseUrl };
}

/** Waits until all deliveries of a webhook have ended, and returns their attempts. */
async function ended(posthorn: TestService, webhookId: string, deliveries: number) {
  return await until(
    `${webhookId} is delivered`,
    async () => {
      const { json } = await posthorn.request('GET', `/v1/deliveries?webhook_id=${webhookId}`);
      const over = json.data.filter(
        ({ state }: { state: string }) => state !== 'pending' && state !== 'held',
      );
      return over.length === deliveries && over;
    },
    30_000,
  );
}

const send = (posthorn: TestService, body: object, headers: Record<string, string> = {}) =>
  posthorn.request('POST', '/v1/webhooks', body, headers);

t.test(
  'a webhook to a worker with room needs no job, is sent once and recorded once',
  async (t) => {
    const { receiver, posthorn, client, create, jobs } = await start(t);
    const single = await create({});
    for (let n = 0; n < 10; n++)
      await create({ event_types: ['to.ten'], ...(n < 5 ? { filter: '$.total > 5' } : {}) });
    const event = { event_type: 'to.ten', data: { total: 10 } };
    const kinds: [what: string, deliveries: number, accept: () => Promise<string>][] = [
      ['to a subscription', 1, () => posthorn.ingest(single)],
      [
        'to a subscription, with a key',
        1,
        () => posthorn.ingest(single, { n: 1 }, { 'idempotency-key': 'one' }),
      ],
      [
        'by event type, five with a filter',
        10,
        async () => (await send(posthorn, event)).json.webhook_id,
      ],
      [
        'by event type, to those whose filter matches',
        5,
        async () => (await send(posthorn, { ...event, data: { total: 1 } })).json.webhook_id,
      ],
      [
        'by event type, with a key',
        10,
        async () => (await send(posthorn, event, { 'idempotency-key': 'two' })).json.webhook_id,
      ],
    ];
    let requests = 0;
    for (const [what, deliveries, accept] of kinds) {
      const id = await accept();
      t.type(id, 'string', what);
      const over = await ended(posthorn, id, deliveries);
      t.ok(
        over.every(
          ({ state, attempts_made }: { state: string; attempts_made: number }) =>
            state === 'succeeded' && attempts_made === 1,
        ),
        what,
      );
      t.strictSame(await jobs(), [], `${what}: no job`);
      const { rows } = await client.query(
        'select attempt_number from posthorn.delivery_attempts where webhook_id = $1',
        [id],
      );
      t.strictSame(rows, Array(deliveries).fill({ attempt_number: 1 }), what);
      requests += deliveries;
      t.equal(receiver.received.length, requests, `${what}: sent once`);
    }
    const again = await send(posthorn, event, { 'idempotency-key': 'two' });
    await ended(posthorn, again.json.webhook_id, 10);
    t.equal(receiver.received.length, requests, 'a repeated request sends nothing');
  },
);

/** The parts of a request that are the same for all webhooks, as a receiver sees them. */
function looks({ method, path, headers, body }: ReceivedRequest) {
  const {
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': signature,
    'x-hub-signature-256': ofBody,
    connection: _connection,
    ...same
  } = headers;
  const typed = [id, timestamp, signature].map((value) => typeof value);
  return { method, path, same, ofBody, typed, body: body.toString('hex') };
}

t.test('what is handed over is sent as what goes through the queue', async (t) => {
  const { receiver, posthorn, create, jobs, databaseUrl } = await start(t);
  const api = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const ingested = await create({
    url: `${receiver.url}/hooks?a=1`,
    headers: { 'x-own': 'é', 'user-agent': 'mine' },
  });
  await create({ event_types: ['order.created'], secret });
  const bytes = Buffer.from(Array.from({ length: 256 }, (_, n) => n));
  const ingests: [body: Buffer | string, headers: Record<string, string>][] = [
    ['{ "a" : 1.0, "é": "\\u00e9" }', {}],
    ['a=1&b=%20', { 'content-type': 'application/x-www-form-urlencoded' }],
    ['text', { 'content-type': 'text/plain; charset=latin1' }],
    [bytes, { 'content-type': 'application/octet-stream' }],
    [bytes, { 'content-type': 'application/json' }],
    ['{"a":[]}', { 'content-type': 'application/cloudevents+json' }],
    [
      '{}',
      {
        'x-github-event': 'push',
        'x-github-delivery': '1',
        'ce-id': '7',
        'content-language': 'de',
      },
    ],
    ['x'.repeat(16 * 1024 - 1), { 'content-type': 'text/plain' }],
  ];
  for (const [body, headers] of ingests) {
    const before = receiver.received.length;
    const accepted = [];
    for (const service of [posthorn, api]) {
      const { status, json } = await service.request('POST', `/ingest/${ingested}`, body, headers);
      accepted.push(status === 202 ? json.webhook_id : status);
      if (status === 202) await receiver.waitFor(before + accepted.length, 30_000);
    }
    if (typeof accepted[0] === 'number') {
      t.equal(accepted[1], accepted[0], 'both refuse it');
      continue;
    }
    const [direct, queued] = receiver.received.slice(before) as [ReceivedRequest, ReceivedRequest];
    t.equal(direct.headers['webhook-id'], accepted[0]);
    t.strictSame(looks(direct), looks(queued), JSON.stringify(headers));
    t.equal(direct.body.toString('hex'), Buffer.from(body).toString('hex'));
    const added = await jobs();
    t.notOk(added.includes(accepted[0]), 'one had no job');
    t.ok(added.includes(accepted[1]), 'the other had one');
  }
  const before = receiver.received.length;
  const event = { event_type: 'order.created', data: { n: 1 } };
  const { json } = await send(posthorn, event);
  const [direct] = (await receiver.waitFor(before + 1)).slice(before) as [ReceivedRequest];
  await send(api, event);
  const [, queued] = (await receiver.waitFor(before + 2)).slice(before) as ReceivedRequest[];
  const timeless = (one: ReceivedRequest) => {
    const { body: _, ofBody: ____, ...rest } = looks(one);
    const { timestamp: __, id: ___, ...content } = JSON.parse(one.body.toString());
    return { ...rest, content, same: { ...rest.same, 'content-length': '' } };
  };
  t.equal(direct.headers['webhook-id'], json.webhook_id);
  t.strictSame(timeless(direct), timeless(queued as ReceivedRequest), 'an event');
});

t.test('a large body, a batch, and several webhooks from SQL go through the queue', async (t) => {
  const { posthorn, client, create, jobs } = await start(t);
  const id = await create({ event_types: ['a'] });
  const large = await posthorn.ingest(id, `"${'x'.repeat(16 * 1024)}"`);
  const batch = await posthorn.request('POST', '/v1/webhooks/batch', {
    webhooks: [{ event_type: 'a', data: 1 }],
  });
  const { rows } = await client.query(
    `select unnest(posthorn.send_many('{a,a}', array['1', '2']::jsonb[])) as id`,
  );
  const ids: string[] = [large, (batch.json.webhooks ?? batch.json.data)[0].webhook_id];
  ids.push(...rows.map(({ id }) => id));
  for (const webhook of ids) await ended(posthorn, webhook, 1);
  t.strictSame((await jobs()).toSorted(), ids.toSorted());
});

t.test(
  'deliveries that find no room in memory go through the queue, and arrive once',
  async (t) => {
    const open: (() => void)[] = [];
    let silent = true;
    const { receiver, posthorn, create, jobs } = await start(
      t,
      { POSTHORN_MAX_IN_FLIGHT: '25' },
      (response) => {
        if (silent) open.push(() => response.end());
        else response.end();
      },
    );
    const ids = await Promise.all(Array.from({ length: 60 }, () => create({})));
    // All at once: a receiver that has not answered for half a second is held, and takes no room.
    const webhooks = await Promise.all(ids.map((id) => posthorn.ingest(id)));
    const queued = await jobs();
    t.ok(queued.length > 0, 'some had no room');
    t.ok(queued.length < webhooks.length, 'some had');
    silent = false;
    const answering = setInterval(() => {
      for (const answer of open.splice(0)) answer();
    }, 20);
    t.teardown(() => clearInterval(answering));
    for (const webhook of webhooks)
      t.match(await ended(posthorn, webhook, 1), [{ state: 'succeeded', attempts_made: 1 }]);
    t.equal(receiver.received.length, webhooks.length);
  },
);

t.test('a first attempt that fails gets its retry as usual', async (t) => {
  const { receiver, posthorn, create, jobs } = await start(t, {}, (response, _request, nth) => {
    response.writeHead(nth === 1 ? 500 : 204).end();
  });
  const webhook = await posthorn.ingest(await create({}));
  t.match(await ended(posthorn, webhook, 1), [{ state: 'succeeded', attempts_made: 2 }]);
  t.strictSame(await jobs(), [webhook], 'the retry has a job');
  t.equal(receiver.received.length, 2);
});

t.test('deliveries that have to be held are never handed over', async (t) => {
  const { receiver, posthorn, client, create, jobs } = await start(t);
  const kinds: Record<string, object> = {
    'strict order': { ordering: 'strict' },
    'a rate limit': { rate_limit: { limit: 1000, per: '1s' } },
    'a limit of requests': { max_in_flight: 2 },
    paused: {},
  };
  const handed = async (webhookId: string) =>
    (
      await client.query('select handed_to from posthorn.deliveries where webhook_id = $1', [
        webhookId,
      ])
    ).rows;
  for (const [what, fields] of Object.entries(kinds)) {
    const id = await create(fields);
    if (what === 'paused')
      t.equal((await posthorn.request('POST', `/v1/subscriptions/${id}/pause`)).status, 200);
    const before = receiver.received.length;
    const webhook = await posthorn.ingest(id);
    t.strictSame(await handed(webhook), [{ handed_to: null }], what);
    if (what === 'paused') {
      t.equal(receiver.received.length, before);
      await posthorn.request('POST', `/v1/subscriptions/${id}/resume`);
    }
    t.match(await ended(posthorn, webhook, 1), [{ state: 'succeeded', attempts_made: 1 }], what);
  }
  t.strictSame(await jobs(), [], 'the owner of a backlog needs no jobs either');
});

/** A delivery that is in flight from memory, to a receiver that has not answered yet. */
async function inFlight(t: Test) {
  let answer = (): void => {};
  const started = await start(t, {}, (response) => {
    answer = () => response.end();
  });
  const subscription = await started.create({});
  const webhook = await started.posthorn.ingest(subscription);
  await started.receiver.waitFor(1);
  return { ...started, subscription, webhook, answer: () => answer() };
}

t.test('a retry by request of a delivery in memory does not send it twice', async (t) => {
  const { receiver, posthorn, jobs, subscription, webhook, answer } = await inFlight(t);
  const { status } = await posthorn.request(
    'POST',
    `/v1/deliveries/${webhook}.${subscription}/retry`,
  );
  t.equal(status, 202);
  answer();
  t.match(await ended(posthorn, webhook, 1), [{ state: 'succeeded', attempts_made: 1 }]);
  t.strictSame(await jobs(), []);
  t.equal(receiver.received.length, 1);
});

t.test('a delivery in memory whose subscription is deleted stays cancelled', async (t) => {
  const { receiver, posthorn, client, subscription, webhook, answer } = await inFlight(t);
  const state = async () =>
    (
      await client.query(
        'select state, attempt_count from posthorn.deliveries where webhook_id = $1',
        [webhook],
      )
    ).rows[0];
  t.equal((await posthorn.request('DELETE', `/v1/subscriptions/${subscription}`)).status, 200);
  await until('it is cancelled', async () => (await state()).state === 'cancelled');
  answer();
  await until('its attempt is recorded', async () => (await state()).attempt_count === 1);
  t.equal((await state()).state, 'cancelled');
  t.equal(receiver.received.length, 1);
});

/** Deliveries of worker 7, of which the test says what they are like. */
async function handedOver(t: Test, age: string, columns: Record<string, string> = {}) {
  const databaseUrl = await createTestDatabase(t);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  await pool.query(
    `select posthorn.ensure_partitions((now() - interval '2 days')::date, (now() + interval '2 days')::date)`,
  );
  await pool.query(`insert into posthorn.subscriptions (url) values ('http://a.example/')`);
  const names = Object.keys(columns);
  const { rows } = await pool.query<{ id: string }>(
    `with payload as (
       insert into posthorn.webhook_payloads (id, content_type, body)
       values (posthorn.uuidv7_floor(now() - interval '${age}'), 'application/json', '{}')
       returning id
     )
     insert into posthorn.deliveries (${['webhook_id', 'subscription_id', 'next_attempt_at', 'handed_to', ...names].join()})
     select ${['id', '1', `now() - interval '${age}'`, '7', ...Object.values(columns)].join()} from payload
     returning webhook_id as id`,
  );
  const read = async () =>
    (
      await pool.query(
        `select state, handed_to, queued, next_attempt_at <= now() as due,
           (select count(*)::integer from graphile_worker.jobs where task_identifier = 'deliver') as jobs
         from posthorn.deliveries`,
      )
    ).rows[0];
  return { pool, webhook: rows[0]?.id as string, read };
}

t.test('the deliveries of a worker that is gone get jobs once', async (t) => {
  const { pool, read } = await handedOver(t, '2 seconds');
  t.equal(await requeueHandedOver(pool, [8]), 0, 'not those of another');
  t.equal(await requeueHandedOver(pool, [6, 7]), 1);
  t.equal(await requeueHandedOver(pool, [6, 7]), 0);
  t.match(await read(), { state: 'pending', handed_to: null, queued: true, jobs: 1 });
});

t.test('they are found however long ago the worker was last seen', async (t) => {
  const { pool, read } = await handedOver(t, '5 hours');
  t.equal(await requeueHandedOver(pool, [7]), 0);
  await pool.query(
    `insert into posthorn.workers (pool_id, host, pid, seen_at) values ('hand-over-7', '', 1, now() - interval '5 hours')`,
  );
  t.equal(await requeueHandedOver(pool, [7]), 1);
  t.match(await read(), { handed_to: null, jobs: 1 });
});

t.test('deliveries that are in memory get no jobs', async (t) => {
  const { pool, webhook, read } = await handedOver(t, '2 seconds');
  t.equal(await requeueHandedOver(pool, [7], { webhooks: [webhook], subscriptions: [1] }), 0);
  t.match(await read(), { handed_to: 7, jobs: 0 });
  t.equal(await requeueHandedOver(pool, [7], { webhooks: [webhook], subscriptions: [2] }), 1);
});

t.test('a delivery that has been attempted, held or ended gets no job', async (t) => {
  for (const columns of [
    { attempt_count: '1' },
    { state: `'held'` },
    { state: `'cancelled'` },
  ] as Record<string, string>[]) {
    const { pool, read } = await handedOver(t, '2 seconds', columns);
    t.equal(await requeueHandedOver(pool, [7]), 0);
    t.match(await read(), { jobs: 0 });
  }
});

t.test(
  'a cancelled delivery that is sent again has one job, although its worker ends',
  async (t) => {
    const { posthorn, client, create, jobs } = await start(t);
    const subscription = await create({});
    await posthorn.request('POST', `/v1/subscriptions/${subscription}/pause`);
    const webhook = await posthorn.ingest(subscription);
    // As if a worker had held it and it had been cancelled; then it is owed again.
    await client.query(
      `update posthorn.deliveries set state = 'cancelled', handed_to = 7, next_attempt_at = null, ended_at = now()
     where webhook_id = $1`,
      [webhook],
    );
    const { status } = await posthorn.request(
      'POST',
      `/v1/deliveries/${webhook}.${subscription}/retry`,
    );
    t.equal(status, 202);
    const { rows } = await client.query(
      'select handed_to, state from posthorn.deliveries where webhook_id = $1',
      [webhook],
    );
    t.strictSame(rows, [{ handed_to: null, state: 'held' }]);
    t.strictSame(await jobs(), []);
  },
);

t.test(
  'a delivery in memory that a wrong clock dated gets no job, until its worker ends',
  async (t) => {
    const { pool, read } = await handedOver(t, '-2 hours');
    t.equal((await moveFutureTimes(pool)).deliveries, 1);
    t.match(await read(), { handed_to: 7, queued: true, due: true, jobs: 0 });
    await wakeDeliveries(pool, 60_000, 15_000);
    t.match(await read(), { handed_to: 7, jobs: 0 });
    t.equal(await requeueHandedOver(pool, [7]), 1);
    t.match(await read(), { handed_to: null, jobs: 1 });
  },
);

t.test('a delivery of which no worker knows any more is found as a lost one', async (t) => {
  const { pool, read } = await handedOver(t, '3 minutes');
  t.equal((await wakeDeliveries(pool, 60_000, 15_000)).lost, 1);
  t.match(await read(), { handed_to: null, jobs: 1 });
});
