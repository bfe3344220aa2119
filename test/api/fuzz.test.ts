import { randomUUID } from 'node:crypto';
import { Agent, request as httpRequest } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { createJudge, type FuzzAnswer } from '../helpers/fuzz/judge.ts';
import { createPool, type Pool } from '../helpers/fuzz/pool.ts';
import { type FuzzRequest, requestsFor } from '../helpers/fuzz/requests.ts';
import { createValues } from '../helpers/fuzz/values.ts';
import { type OpenApi, type Operation, operationsOf, readDocument } from '../helpers/openapi.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

/**
 * POSTHORN_FUZZ_RUNS requests for each operation of the document, as POSTHORN_FUZZ_SEED has them. A
 * failure prints its seed; since the ids of what exists differ from run to run, so may the requests.
 */
const RUNS = Number(process.env.POSTHORN_FUZZ_RUNS ?? 60);
const SEED = Number(process.env.POSTHORN_FUZZ_SEED ?? 20_261_124);
/** So many more are tried for an operation that has only refused: its parameters are rarely fit by chance. */
const MORE_SEEDS = 3;
/** When the suite's share of time is used up, the rest is left for another seed. */
const TIME_LIMIT_MS = RUNS > 60 ? 3_600_000 : 25_000;
const AT_ONCE = 4;
/** A task or a backfill ends sooner than anybody comes to cancel it, and a watch needs names of a table and its columns. */
const NEEDS_LUCK = new Set(['cancelTask', 'cancelBackfill', 'createWatch']);
const KEY = 'an admin key of some length';

t.test('every answer to a random request is one that the document describes', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = [200, 200, 500, 410, 302][nth % 5] as number;
    response.end(nth % 7 === 0 ? '\u0000\ud800' : 'answer');
  });
  const posthorn = await startTestService(t, {
    POSTHORN_ADMIN_KEY: KEY,
    POSTHORN_MAX_BODY: '64KiB',
    POSTHORN_PUBLIC_CATALOGUE: '*',
    POSTHORN_DELIVERY_TIMEOUT: '500ms',
  });
  const document = await readDocument(posthorn);
  const pool = createPool(document);
  await seed(posthorn, pool, receiver.url);
  const application = await connect(t, posthorn.databaseUrl);
  await application.query(
    `create table public.orders (id integer primary key); select posthorn.watch('public.orders')`,
  );
  const watches = await posthorn.request('GET', '/v1/watches', undefined, {
    authorization: `Bearer ${KEY}`,
  });
  pool.learn('/v1/watches', watches.json);
  const [watch] = watches.json.data;
  const backfill = await posthorn.request(
    'POST',
    `/v1/watches/${watch.id}/backfills`,
    {},
    {
      authorization: `Bearer ${KEY}`,
    },
  );
  pool.learn('/v1/backfills', backfill.json);
  const agent = new Agent({ keepAlive: true });
  t.teardown(() => agent.destroy());
  const judge = createJudge(document);
  const values = createValues(document, pool);
  const endsAt = Date.now() + TIME_LIMIT_MS;
  // Those that end things, or forbid them, come last: the others are to get somewhere.
  const ends = ({ method, path }: Operation) =>
    Number(method === 'delete' || /settings$/.test(path));
  const waiting = operationsOf(document).sort((one, other) => ends(one) - ends(other));
  t.ok(waiting.length >= 20);
  await refresh(posthorn, pool, receiver.url);
  // Else an operation could only be refused, and would show nothing.
  t.strictSame(
    waiting.map(({ path }) => path).filter((path) => !pool.canAsk(path)),
    [],
  );

  async function fuzz(operation: Operation, seed = SEED): Promise<void> {
    await refresh(posthorn, pool, receiver.url);
    let succeeded = false;
    const property = fc.asyncProperty(
      requestsFor(operation, values, pool, KEY),
      async (request) => {
        fc.pre(!isOther(document, operation.path, request.target));
        const answer = await sendPatiently(posthorn.url, agent, inHaste(request));
        const json = judge(operation, answer);
        if (isGone(request, answer)) pool.forget(request.target);
        if (answer.status >= 300) return;
        succeeded = true;
        pool.learn(operation.path, json);
      },
    );
    const result = await fc.check(property, {
      numRuns: RUNS,
      seed,
      // A share of what is left, so that a slow machine asks each operation less, and none nothing.
      interruptAfterTimeLimit: ((endsAt - Date.now()) * AT_ONCE) / (waiting.length + AT_ONCE),
    });
    const { failed, counterexample, errorInstance, numRuns, interrupted } = result;
    const name = `${operation.method} ${operation.path}`;
    if (failed && counterexample !== null)
      t.fail(`${name}: ${errorInstance}\nPOSTHORN_FUZZ_SEED=${seed} ${show(counterexample[0])}`);
    // An operation with parameters that random values rarely fit.
    else if (
      !succeeded &&
      !interrupted &&
      !NEEDS_LUCK.has(operation.operationId) &&
      seed < SEED + MORE_SEEDS
    )
      await fuzz(operation, seed + 1);
    // Otherwise it would show only that all is refused.
    else
      t.ok(
        succeeded || interrupted || NEEDS_LUCK.has(operation.operationId),
        `${name}: ${numRuns} requests, some as they are meant`,
      );
  }

  const take = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) await fuzz(next);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, take));
});

/** Whether what was asked for is not there for anybody, or was just taken away. */
function isGone({ method, target, headers }: FuzzRequest, { status }: FuzzAnswer): boolean {
  const sawAll = headers.authorization === `Bearer ${KEY}` && !target.includes('tenant=');
  return (status === 404 && sawAll) || (status < 300 && method === 'DELETE');
}

/** A request for people, who do not read ten thousand brackets. */
function show({ method, target, headers, body }: FuzzRequest): string {
  const text = body === null ? '' : JSON.stringify(body.toString('latin1'));
  return `${method} ${target} ${JSON.stringify(headers)} ${text}`.slice(0, 4000);
}

/** What there is to be asked for. */
async function seed(posthorn: TestService, pool: Pool, url: string): Promise<void> {
  const request = (path: string, body: unknown) =>
    posthorn.request('POST', path, body, { authorization: `Bearer ${KEY}` });
  pool.add('url', `${url}/hook`);
  pool.learn('/v1/tenants', (await request('/v1/tenants', { id: 'fuzz' })).json);
  const portal = await request('/v1/tenants/default/portal', {});
  const [, link, token] = /([^/]+)#(.+)$/.exec(portal.json.url) as unknown as string[];
  pool.add('link', link);
  pool.add('token', token);
  for (const scope of ['read', 'send', 'pull', 'manage']) {
    const { json } = await request('/v1/keys', { scopes: [scope] });
    pool.add('key', json.key);
    pool.learn('/v1/keys', json);
  }
  for (let n = 0; n < 6; n++) {
    const { json } = await request('/v1/subscriptions', {
      url: `${url}/${n}`,
      ...(n < 2 ? {} : { signature_scheme: 'ed25519' }),
    });
    pool.learn('/v1/subscriptions', json);
    const sent = await request('/v1/webhooks', { event_type: 'order.created', data: n });
    pool.learn('/v1/webhooks', sent.json);
    const since = new Date(0).toISOString();
    const task = await request(`/v1/subscriptions/${json.id}/replay`, { since });
    pool.learn('/v1/tasks', task.json);
  }
}

/** More of what others may have taken away, or changed, before an operation is asked for it. */
async function refresh(posthorn: TestService, pool: Pool, url: string): Promise<void> {
  const request = (path: string, body: unknown) =>
    posthorn.request('POST', path, body, { authorization: `Bearer ${KEY}` });
  const pulled = await request('/v1/subscriptions', { url: null });
  pool.learn('/v1/subscriptions', pulled.json);
  for (let n = 0; n < 3; n++) {
    const made = { url: `${url}/more`, event_types: [], signature_scheme: 'ed25519' };
    const { json } = await request('/v1/subscriptions', made);
    pool.learn('/v1/subscriptions', json);
    const sent = await request('/v1/webhooks', {
      event_type: 'order.created',
      data: n,
      subscription_id: json.id,
    });
    pool.learn('/v1/webhooks', sent.json);
    pool.add('delivery_id', `${sent.json.webhook_id}.${json.id}`);
    pool.add('attempt_number', 1);
    const type = await request('/v1/event-types', { name: `fuzz.${randomUUID()}` });
    pool.learn('/v1/event-types', type.json);
  }
}

/** Whether a target is another operation's: an id may be what a fixed part of a path is called. */
function isOther({ paths }: OpenApi, path: string, target: string): boolean {
  const own = target.split('?')[0] as string;
  return own !== path && Object.keys(paths).some((one) => one !== path && one === own);
}

/** Without what it would wait for: a pull waits for webhooks. */
function inHaste(request: FuzzRequest): FuzzRequest {
  const { target } = request;
  if (!/^[^?]*\/pull(\?|$)/.test(target) || /[?&]wait/.test(target)) return request;
  return { ...request, target: `${target}${target.includes('?') ? '&' : '?'}wait=0s` };
}

/** A busy machine answers 503 now and then; a request that is always answered so is a fault. */
async function sendPatiently(base: string, agent: Agent, sent: FuzzRequest): Promise<FuzzAnswer> {
  let answer = await send(base, agent, sent);
  for (let again = 0; again < 5 && answer.status === 503; again++) {
    await sleep(1_000);
    answer = await send(base, agent, sent);
  }
  return answer;
}

function send(base: string, agent: Agent, sent: FuzzRequest): Promise<FuzzAnswer> {
  const { hostname, port } = new URL(base);
  const { method, target, headers, body } = sent;
  return new Promise((resolve, reject) => {
    const length = body === null ? {} : { 'content-length': String(body.length) };
    const options = { hostname, port, agent, method, path: target };
    const request = httpRequest({ ...options, headers: { ...headers, ...length } }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () =>
        resolve({
          status: response.statusCode as number,
          contentType: response.headers['content-type'],
          body: Buffer.concat(chunks),
        }),
      );
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      // The service may end an idle connection at the moment at which a slow client uses it again.
      if (request.reusedSocket && error.code === 'ECONNRESET') resolve(send(base, agent, sent));
      else reject(error);
    });
    request.end(body ?? undefined);
  });
}
