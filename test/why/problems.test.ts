import type pg from 'pg';
import t, { type Test } from 'tap';
import { CAUSES } from '../../src/why/receiver-problems.ts';
import { connect } from '../helpers/database.ts';
import { ingestUntilOpen, subscribeAs } from '../helpers/health.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { type Reply, startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

type Problem = Reply['json'];

/** Reads all pages of the problems. */
async function problemsOf({ request }: TestService, query = '', limit = 100): Promise<Problem[]> {
  const found: Problem[] = [];
  for (let cursor = ''; ; ) {
    const { status, json, text } = await request(
      'GET',
      `/v1/problems?limit=${limit}${query}${cursor}`,
    );
    if (status !== 200) throw new Error(text);
    found.push(...json.data);
    if (json.next_cursor === null) return found;
    cursor = `&cursor=${json.next_cursor}`;
  }
}

const problemOf = async (posthorn: TestService, id: number): Promise<Problem | undefined> =>
  (await problemsOf(posthorn)).find(({ subscription_id }) => subscription_id === id);

/** Waits until a subscription has a problem of which this is true. */
const untilProblem = (
  posthorn: TestService,
  id: number,
  isIt: (problem: Problem) => boolean,
): Promise<Problem> =>
  until(`subscription ${id} has the problem`, async () => {
    const problem = await problemOf(posthorn, id);
    if (problem === undefined || !isIt(problem)) throw new Error(JSON.stringify(problem));
    return problem;
  });

/** Makes the request of a next step. */
async function take(posthorn: TestService, { next_step }: Problem, input: object = {}) {
  const { method, path, body } = next_step.request;
  const reply = await posthorn.request(method, path, { ...body, ...input });
  if (reply.status >= 300) throw new Error(reply.text);
}

/** A receiver that answers with the status in its path, and 200 once it is mended. */
async function startBroken(t: Test) {
  const state = { mended: false };
  const receiver = await startReceiver(t, (response, { path }) => {
    const status = state.mended ? 200 : Number(path.slice(1));
    if (!(status >= 100)) return;
    response.writeHead(status, status === 302 ? { location: '/elsewhere' } : {}).end();
  });
  return {
    url: (path: string | number) => `${receiver.url}/${path}`,
    mend: () => {
      state.mended = true;
    },
  };
}

t.test('each problem is named, and its next step solves it', async (t) => {
  const { url, mend } = await startBroken(t);
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const { ingest } = posthorn;

  t.strictSame(await problemsOf(posthorn), [], 'nothing has failed');
  const down = await subscribeAs(posthorn, { url: url(503), retry_schedule: '20ms' });
  const [first, second] = [await ingest(down), await ingest(down)] as const;
  const failed = await untilProblem(posthorn, down, (problem) => problem.failed === 2);
  t.match(failed, {
    id: `${down}.http_status_503`,
    cause: 'http_status',
    response_code: 503,
    sentence:
      /^Subscription \d+: its receiver answers 503 Service Unavailable, since .* UTC(, last at .* UTC)?; 2 deliveries have failed\.$/,
    error: 'The receiver answered 503 Service Unavailable.',
    attempts: 4,
    waiting: 0,
    held: 0,
    first_delivery: `${first}.${down}`,
    last_delivery: `${second}.${down}`,
    next_step: { action: 'replay_since', request: { path: `/v1/subscriptions/${down}/recover` } },
  });

  const wrong = await subscribeAs(posthorn, { url: url(404) });
  await ingest(wrong);
  const moved = await untilProblem(posthorn, wrong, (problem) => problem.waiting === 1);
  t.match(moved, { response_code: 404, next_step: { action: 'edit_url' } });
  t.strictSame(moved.next_step.request.input, ['url']);
  await take(posthorn, moved, { url: url(200) });
  await posthorn.request('POST', `/v1/deliveries/${moved.first_delivery}/retry`);
  await until('it is solved', async () => (await problemOf(posthorn, wrong)) === undefined);

  const redirects = await subscribeAs(posthorn, { url: url(302) });
  await ingest(redirects);
  t.match(await untilProblem(posthorn, redirects, () => true), {
    id: `${redirects}.redirect_302`,
    sentence: /answers 302 Found, and redirects are not followed, since .* 1 delivery waits/,
    next_step: { action: 'edit_url' },
  });

  const refuses = await subscribeAs(posthorn, {
    url: url(401),
    event_types: ['signed'],
    generate_secret: true,
  });
  await posthorn.request('POST', '/v1/webhooks', { event_type: 'signed', data: {} });
  const unsigned = await untilProblem(posthorn, refuses, () => true);
  t.match(unsigned, { response_code: 401, next_step: { action: 'rotate_secret' } });
  await take(posthorn, unsigned);

  const slow = await subscribeAs(posthorn, { url: url('hangs'), timeout: '1s' });
  const only = await ingest(slow);
  t.match(await untilProblem(posthorn, slow, () => true), {
    cause: 'timeout_response',
    response_code: null,
    next_step: {
      action: 'retry',
      request: { path: `/v1/deliveries/${only}.${slow}/retry` },
      sql: `select posthorn.retry('${only}', ${slow})`,
    },
  });

  const closed = await startReceiver(t);
  await closed.close();
  const dead = await subscribeAs(posthorn, { url: closed.url });
  for (let n = 0; n < 4; n++) await ingest(dead);
  const refused = await untilProblem(
    posthorn,
    dead,
    ({ waiting, next_step }) => waiting === 4 && next_step.action === 'pause',
  );
  t.match(refused, { cause: 'refused', sentence: /refuses the connection/ });
  await take(posthorn, refused);
  const { json } = await posthorn.request('GET', `/v1/subscriptions/${dead}`);
  t.equal(json.status, 'paused');

  const gone = await subscribeAs(posthorn, { url: url(410) });
  await ingest(gone);
  await until('it is disabled', async () => {
    const { json } = await posthorn.request('GET', `/v1/subscriptions/${gone}`);
    return json.status === 'disabled';
  });
  await ingest(gone);
  const disabled = await untilProblem(posthorn, gone, ({ held }) => held === 1);
  t.match(disabled, {
    cause: 'gone',
    subscription_status: 'disabled',
    failed: 1,
    next_step: { action: 'enable' },
    sentence: /; it is disabled, 1 delivery has failed, 1 delivery is held\.$/,
  });

  mend();
  await take(posthorn, failed);
  await until('all are sent again', async () => (await problemOf(posthorn, down)) === undefined);
  await take(posthorn, disabled);
  await until('the held one is sent', async () => {
    const problem = await problemOf(posthorn, gone);
    return problem?.held === 0 && problem.subscription_status === 'active';
  });
});

t.test('a receiver whose circuit is open is one problem, with what is held', async (t) => {
  const { url, mend } = await startBroken(t);
  const posthorn = await startTestService(t, {
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
    POSTHORN_RETRY_SCHEDULE: '1h,2h',
  });
  const down = await posthorn.subscribe(url(500));
  const before = new Date();
  await ingestUntilOpen(posthorn, down);
  for (let n = 0; n < 5; n++) await posthorn.ingest(down);
  const open = await untilProblem(posthorn, down, ({ held }) => held >= 5);
  t.match(open, {
    circuit_open: true,
    held_more: false,
    next_step: { action: 'enable', request: { path: `/v1/subscriptions/${down}/enable` } },
    sentence: /its circuit is open, .*\d+ deliveries are held\.$/,
  });
  t.ok(new Date(open.since) >= new Date(before.getTime() - 1_000));
  mend();
  await take(posthorn, open);
  await until('nothing is held', async () => ((await problemOf(posthorn, down))?.held ?? 0) === 0);
});

t.test('pages have every problem once, and a tenant sees its own', async (t) => {
  const { url } = await startBroken(t);
  const key = 'an admin key of some length';
  const posthorn = await startTestService(t, {
    POSTHORN_ADMIN_KEY: key,
    POSTHORN_RETRY_SCHEDULE: '1h',
  });
  const as = (tenant: string): TestService => ({
    ...posthorn,
    request: (method, path, body) =>
      posthorn.request(method, `${path}${path.includes('?') ? '&' : '?'}tenant=${tenant}`, body, {
        authorization: `Bearer ${key}`,
      }),
  });
  for (const id of ['one', 'two']) await as('default').request('POST', '/v1/tenants', { id });
  const ids: number[] = [];
  for (const status of [500, 502, 503, 504, 404]) {
    const id = await subscribeAs(as('one'), { url: url(status), event_types: ['a'] });
    ids.push(id);
  }
  await subscribeAs(as('two'), { url: url(418), event_types: ['a'] });
  for (const tenant of ['one', 'two'])
    await as(tenant).request('POST', '/v1/webhooks', { event_type: 'a', data: {} });
  await until('all have failed', async () => (await problemsOf(as('one'))).length === 5);
  await until('all have failed', async () => (await problemsOf(as('two'))).length === 1);
  const pages = await problemsOf(as('one'), '', 2);
  t.strictSame(
    pages.map(({ id }) => id),
    (await problemsOf(as('one'))).map(({ id }) => id),
  );
  t.strictSame(pages.map(({ subscription_id }) => subscription_id).sort(), ids.sort());
  const times = pages.map(({ last_at }) => last_at);
  t.strictSame(times, times.toSorted().reverse(), 'those that failed last come first');
  t.match((await problemsOf(as('two')))[0], { response_code: 418 });
  t.match(pages[0]?.next_step.request.path, /tenant=one$/);
  const [one] = await problemsOf(as('one'), `&subscription_id=${ids[0]}`);
  t.equal(one?.response_code, 500);
});

/** Adds deliveries of a subscription that have failed, as they would be after some time. */
async function addFailures(
  client: pg.Client,
  subscription: number,
  { count = 1, code = 'http_status', status = 500 as number | null, state = 'failed' },
): Promise<void> {
  await client.query(
    `with w as (
       insert into posthorn.webhook_payloads (content_type, body)
       select 'application/json', '{}' from generate_series(1, $2::integer) returning id
     ), d as (
       insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, ended_at, next_attempt_at, reason)
       select id, $1, $5, case when $3 = 'expired' then 0 else 1 end, now(), null,
         case when $3 = 'expired' then 'expired' end
       from w
     )
     insert into posthorn.delivery_attempts
       (webhook_id, subscription_id, attempt_number, status, response_code, error_code, error, duration_ms)
     select id, $1, 1, 'failed', $4, $3, 'It failed.', 1 from w where $3 <> 'expired'`,
    [subscription, count, code, status, state],
  );
}

const STEPS = /^(retry|replay_since|pause|edit_url|rotate_secret|enable)$/;

t.test('every cause has its sentence and its next step', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  const id = await posthorn.subscribe('https://example.com/');
  for (const code of CAUSES.filter((cause) => cause !== 'disabled'))
    await addFailures(client, id, { code: code === 'other' ? 'unheard_of' : code, status: null });
  const old = await posthorn.subscribe('https://example.com/');
  await posthorn.request('POST', `/v1/subscriptions/${old}/pause`);
  await posthorn.ingest(old);
  await client.query(
    `update posthorn.subscriptions set status = 'disabled', status_changed_at = now() - interval '2 days'
     where id = ${old}`,
  );
  const found = await problemsOf(posthorn);
  t.strictSame(found.map(({ cause }) => cause).toSorted(), [...CAUSES].toSorted());
  for (const { cause, sentence, next_step, first_delivery } of found) {
    t.match(sentence, /^Subscription \d+: .+, since .+\.$/, cause);
    t.match(next_step.action, STEPS, cause);
    t.equal((await posthorn.request('GET', `/v1/deliveries/${first_delivery}`)).status, 200);
  }
  t.match(
    found.find(({ cause }) => cause === 'disabled'),
    { subscription_id: old, attempts: 0, held: 1, next_step: { action: 'enable' } },
  );
  t.match(
    found.find(({ cause }) => cause === 'expired'),
    { attempts: 0, failed: 1, next_step: { action: 'replay_since' } },
  );
});

t.test(
  'the answer says when not all failures were read, and a flood hides no receiver',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const client = await connect(t, posthorn.databaseUrl);
    const [quiet, loud] = [
      await posthorn.subscribe('https://example.com/'),
      await posthorn.subscribe('https://example.com/'),
    ];
    await addFailures(client, quiet, { status: 502 });
    await addFailures(client, loud, { count: 100 });
    t.notOk('complete_since' in (await posthorn.request('GET', '/v1/problems')).json);
    await addFailures(client, loud, { count: 10_100 });
    const check = async (attempts: number) => {
      const { json } = await posthorn.request('GET', '/v1/problems');
      t.type(json.complete_since, 'string');
      t.strictSame(
        json.data.map(({ id }: Problem) => id),
        [`${loud}.http_status_500`, `${quiet}.http_status_502`],
      );
      t.match(json.data[0], { attempts, failed: attempts });
    };
    await check(5_000);
    // With many subscriptions, a receiver that fails now is read in any case.
    await client.query(
      `insert into posthorn.subscriptions (url) select 'https://example.com/' from generate_series(1, 60);
     insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at)
     values (${quiet}, now(), 3, now())`,
    );
    await check(10_000);
  },
);

t.test('the window limits what is read', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  const id = await posthorn.subscribe('https://example.com/');
  await addFailures(client, id, {});
  await client.query(`update posthorn.delivery_attempts set at = at - interval '2 hours'`);
  t.equal((await problemsOf(posthorn)).length, 1);
  t.equal((await problemsOf(posthorn, '&window=1h')).length, 0);
  t.match(await posthorn.request('GET', '/v1/problems?window=forever'), { status: 400 });
});
