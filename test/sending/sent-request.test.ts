import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

/** The headers of each request, in the order in which they came. */
const received: [string, string][][] = [];
const server = createServer((request, response) => {
  const { rawHeaders } = request;
  received.push(
    rawHeaders.flatMap((name, n) =>
      n % 2 === 0 ? [[name, rawHeaders[n + 1] as string] as [string, string]] : [],
    ),
  );
  response.end();
});
await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
t.teardown(() => {
  server.closeAllConnections();
  server.close();
});
const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hook`;
const posthorn = await startTestService(t);
const client = await connect(t, posthorn.databaseUrl);

interface Header {
  readonly name: string;
  readonly value: string | null;
  readonly note: string | null;
}

async function send(headers: Record<string, string>) {
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    secret: SECRET,
    event_types: [],
    headers,
  });
  const sent = await posthorn.request('POST', '/v1/webhooks', {
    event_type: 'order.created',
    data: {},
    subscription_id: json.id,
    headers: { 'X-Trace': 'abc' },
  });
  const id = `${sent.json.webhook_id}.${json.id}`;
  await until(
    'it is delivered',
    async () => (await posthorn.request('GET', `/v1/deliveries/${id}`)).json.state === 'succeeded',
  );
  return { id, webhook: sent.json.webhook_id as string, subscription: json.id as number };
}

const requestOf = async (id: string, n = 1) =>
  await posthorn.request('GET', `/v1/deliveries/${id}/attempts/${n}/request`);
const noteOf = (headers: readonly Header[], name: string) =>
  headers.find((header) => header.name === name)?.note;

t.test(
  'the headers of an attempt are those that the receiver got, without the values of signatures',
  async (t) => {
    const { id } = await send({ 'X-Environment': 'staging' });
    const { status, json } = await requestOf(id);
    t.equal(status, 200);
    t.match(json, { sent: true, method: 'POST', url, notes: [] });
    const shown: Header[] = json.headers;
    const got = received.at(-1) as [string, string][];
    t.strictSame(shown.map(({ name }) => name).sort(), got.map(([name]) => name).sort());
    for (const [name, value] of got) {
      const header = shown.find((one) => one.name === name);
      if (/signature/.test(name)) t.match(header, { value: null, note: /not stored/ });
      else t.equal(header?.value, value, name);
      if (!/signature|user-agent/.test(name)) t.equal(header?.note, null, `${name} is certain`);
    }
  },
);

t.test('what may have been different says so', async (t) => {
  const { id, webhook, subscription } = await send({ 'X-Environment': 'staging' });
  await posthorn.request('PATCH', `/v1/subscriptions/${subscription}`, {
    headers: { 'X-Environment': 'live' },
  });
  const changed = (await requestOf(id)).json;
  t.match(changed.notes, [/other headers of its own/]);
  t.match(noteOf(changed.headers, 'X-Environment'), /changed since/);
  t.match(noteOf(changed.headers, 'host'), /changed since/);
  t.equal(noteOf(changed.headers, 'webhook-timestamp'), null, 'what is stored stays certain');
  await client.query(
    'update posthorn.webhook_payloads set body = null, headers = null where id = $1',
    [webhook],
  );
  const erased = (await requestOf(id)).json;
  t.match(erased.notes.at(-1), /deleted together with the body/);
  t.match(noteOf(erased.headers, 'content-length'), /deleted/);
  await posthorn.request('DELETE', `/v1/subscriptions/${subscription}`);
  await until('the subscription is gone', async () => (await requestOf(id)).json.url === null);
  t.notOk(JSON.stringify((await requestOf(id)).json).includes('staging'));
});

t.test('an attempt without a request says that nothing was sent', async (t) => {
  const subscription = await posthorn.subscribe('http://127.0.0.1:9/');
  const id = `${await posthorn.ingest(subscription)}.${subscription}`;
  await until(
    'it has failed',
    async () => (await posthorn.request('GET', `/v1/deliveries/${id}`)).json.attempts_made > 0,
  );
  t.match((await requestOf(id)).json, { sent: false, url: null, headers: [] });
  const unknown = await requestOf(id, 30);
  t.match(unknown, { status: 404, json: { detail: /There is no attempt .* number 30/ } });
});
