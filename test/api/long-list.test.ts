// The first system's list of subscriptions is one array. However long it is, it takes little memory and no turns.
import { once } from 'node:events';
import { get, type IncomingMessage, request as requestTo } from 'node:http';
import { json } from 'node:stream/consumers';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const PATH = '/subscriptions/getsubscriptions';
/** Subscriptions of 9 MB of JSON, which no socket takes at once. */
const LARGE = { length: 2_000, bytesEach: 4_000 };

async function startWithMany(t: Test, { length, bytesEach } = LARGE) {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const { rows } = await client.query<{ id: number }>(
    `insert into posthorn.subscriptions (url, status, metadata)
     select 'http://127.0.0.1:9/' || n, 'paused', jsonb_build_object('text', repeat('x', $2))
     from generate_series(1, $1) as n
     returning id`,
    [length, bytesEach],
  );
  await client.query('analyze posthorn.subscriptions');
  return { posthorn, client, ids: rows.map(({ id }) => id) };
}

async function read(answer: IncomingMessage): Promise<number[]> {
  return ((await json(answer)) as { id: number }[]).map(({ id }) => id);
}

t.test('a list of 20,000 subscriptions is complete and in order', async (t) => {
  const { posthorn, client, ids } = await startWithMany(t, { length: 20_000, bytesEach: 1 });
  await client.query('update posthorn.subscriptions set deleted_at = now() where id % 1000 = 0');
  const { status, headers, json } = await posthorn.request('GET', PATH);
  t.equal(status, 200);
  t.equal(headers.get('content-type'), 'application/json; charset=utf-8');
  // As texts: to compare arrays of this length takes tap longer than the service takes to send them.
  t.equal(
    json.map(({ id }: { id: number }) => id).join(),
    ids.filter((id) => id % 1000 !== 0).join(),
  );
  const { json: page } = await posthorn.request('GET', '/v1/subscriptions?limit=1');
  t.strictSame(json[0], page.data[0], 'each is as on a page of /v1');
});

t.test('the service reads only what the client takes, and others are answered', async (t) => {
  const { posthorn, ids } = await startWithMany(t);
  const clients = await Promise.all(
    Array.from({ length: 3 }, async () => {
      const [answer] = await once(get(new URL(PATH, posthorn.url)), 'response');
      return answer as IncomingMessage;
    }),
  );
  t.equal((await posthorn.request('GET', '/v1/subscriptions?limit=1')).status, 200);
  const added = await posthorn.subscribe('http://127.0.0.1:9/');
  for (const answer of clients)
    t.equal(
      (await read(answer)).join(),
      [...ids, added].join(),
      'what was added while the list was sent',
    );
});

t.test('clients that do not read long lists are counted, and can go', async (t) => {
  const { posthorn } = await startWithMany(t);
  await posthorn.request('POST', '/v1/tenants', { id: 'modest' });
  const requests = Array.from({ length: 80 }, () => get(new URL(PATH, posthorn.url)));
  const answers = await Promise.all(
    requests.map(async (request) => {
      const [answer] = await once(request, 'response');
      return answer as IncomingMessage;
    }),
  );
  const statuses = answers.map(({ statusCode }) => statusCode);
  t.strictSame([...new Set(statuses)].sort(), [200, 429]);
  t.equal((await posthorn.request('GET', '/v1/subscriptions?tenant=modest')).status, 200);
  for (const answer of answers) answer.destroy();
  await until(
    'the list can be asked for again',
    async () => (await posthorn.request('GET', '/v1/event-types')).status === 200,
  );
});

t.test('a statement that fails in the middle cuts the answer off', async (t) => {
  const { posthorn, client } = await startWithMany(t);
  const [answer] = await once(get(new URL(PATH, posthorn.url)), 'response');
  await client.query('alter table posthorn.subscriptions rename column description to gone');
  await t.rejects(read(answer as IncomingMessage), { code: 'ECONNRESET' });
});

t.test('HEAD gets the headers without a length', async (t) => {
  const { posthorn } = await startWithMany(t, { length: 1000, bytesEach: 1 });
  const request = requestTo(new URL(PATH, posthorn.url), { method: 'HEAD' }).end();
  const [answer] = (await once(request, 'response')) as [IncomingMessage];
  t.equal(answer.statusCode, 200);
  t.equal(answer.headers['content-type'], 'application/json; charset=utf-8');
  t.equal(answer.headers['content-length'], undefined);
  answer.resume();
});
