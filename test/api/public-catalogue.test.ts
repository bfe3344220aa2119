// The catalogue of event types for everybody.
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { sendWith } from '../helpers/raw.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const SECRET = 'only-for-those-with-a-key';

const posthorn = await startTestService(t, {
  POSTHORN_ROLE: 'api',
  POSTHORN_ADMIN_KEY: ADMIN_KEY,
  POSTHORN_PUBLIC_CATALOGUE: 'order.*, invoice.paid',
});
const make = (name: string, fields: object = {}, tenant = 'default') =>
  posthorn.request('POST', `/v1/event-types?tenant=${tenant}`, { name, ...fields }, admin);
await posthorn.request('POST', '/v1/tenants', { id: 'globex' }, admin);
await make('order.created', { description: 'A customer placed an order.', example: { id: 7 } });
await make('order.item.added');
await make('invoice.paid', { schema: { type: 'object', properties: { id: { type: 'string' } } } });
const secret = { description: SECRET, example: SECRET, schema: { title: SECRET } };
for (const name of ['orders.secret', 'order', 'invoice.paid.secret', 'secret']) {
  await make(name, secret);
}
await make('order.of-globex', secret, 'globex');
await make('order.archived', secret);
await posthorn.request('PATCH', '/v1/event-types/order.archived', { archived: true }, admin);

const read = (headers: Record<string, string> = {}) =>
  sendWith(`${posthorn.url}/v1/catalogue`, 'GET', headers);

t.test('it has the event types that the setting names, without a key, and no others', async (t) => {
  const { status, headers, text } = await read();
  t.equal(status, 200);
  t.equal(headers['content-type'], 'application/json; charset=utf-8');
  const document = JSON.parse(text);
  t.match(document, { openapi: '3.1.0' });
  t.strictSame(Object.keys(document.webhooks), [
    'invoice.paid',
    'order.created',
    'order.item.added',
  ]);
  t.strictSame(Object.keys(document.components.schemas), ['invoice.paid']);
  t.equal(document.webhooks['order.created'].post.description, 'A customer placed an order.');
  for (const word of [SECRET, 'secret', 'globex', 'archived']) t.notOk(text.includes(word), word);
  const named = await sendWith(`${posthorn.url}/v1/catalogue?tenant=globex`, 'GET', {});
  t.notOk(named.text.includes('globex'), 'no parameter leads to another tenant');
  t.equal((await sendWith(`${posthorn.url}/v1/event-types/openapi.json`, 'GET', {})).status, 401);
});

t.test('caches ask whether it has changed, and a change is there at once', async (t) => {
  const { headers } = await read();
  const etag = String(headers.etag);
  t.match(etag, /^W\/"[\w-]{43}"$/);
  t.equal(headers['cache-control'], 'public, no-cache');
  for (const known of [etag, `"other", ${etag}`, etag.slice(2), '*']) {
    const again = await read({ 'if-none-match': known });
    t.equal(again.status, 304, known);
    t.equal(again.text, '');
    t.equal(again.headers.etag, etag);
  }
  t.equal((await read({ 'if-none-match': 'W/"other"' })).status, 200);
  await make('order.shipped');
  await until('the new type is there', async () => {
    const { status, text } = await read({ 'if-none-match': etag });
    return status === 200 && text.includes('order.shipped');
  });
  await posthorn.request('DELETE', '/v1/event-types/order.shipped', undefined, admin);
  await until('it is gone', async () => (await read({ 'if-none-match': etag })).status === 304);
});

t.test('it is compressed for those who take that, and HEAD has no body', async (t) => {
  const plain = await read();
  t.equal(plain.headers['content-encoding'], undefined);
  t.equal(plain.headers.vary, 'accept-encoding');
  const refused = await read({ 'accept-encoding': 'gzip;q=0, identity' });
  t.equal(refused.headers['content-encoding'], undefined);
  const response = await fetch(`${posthorn.url}/v1/catalogue`, {
    headers: { 'accept-encoding': 'gzip' },
  });
  t.equal(response.headers.get('content-encoding'), 'gzip');
  t.equal(response.headers.get('etag'), plain.headers.etag);
  t.equal(await response.text(), plain.text);
  const head = await sendWith(`${posthorn.url}/v1/catalogue`, 'HEAD', {});
  t.equal(head.status, 200);
  t.equal(head.text, '');
});

t.test('it is answered from memory', async (t) => {
  const before = await read();
  const client = await connect(t, posthorn.databaseUrl);
  await client.query('begin');
  await client.query('lock table posthorn.event_types in access exclusive mode');
  const answers = await Promise.all(Array.from({ length: 50 }, () => read()));
  t.ok(answers.every(({ status, text }) => status === 200 && text === before.text));
  await client.query('rollback');
});

t.test('without the setting there is neither the document nor the page', async (t) => {
  const off = await startTestService(t, {
    POSTHORN_ROLE: 'api',
    DATABASE_URL: posthorn.databaseUrl,
  });
  const { status, json } = await off.request('GET', '/v1/catalogue');
  t.equal(status, 404);
  t.match(json.detail, 'POSTHORN_PUBLIC_CATALOGUE');
  for (const path of ['/catalogue', '/catalogue/order.created'])
    t.equal((await off.request('GET', path)).status, 404, path);
});
