// A subscription with a filter never misses a webhook in silence: the webhook's record says why.
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const DEEP = `${'['.repeat(50_000)}${']'.repeat(50_000)}`;
const UNREADABLE = ['"\\u0000"', '{"\\u0000": 1}', '"\\ud800"', '1e131073', DEEP];
const READABLE = ['{"a": 1}', '{"a": 2}', 'null', '"\\\\u0000"', '"\\ud83d\\ude00"', '1e1000'];

t.test('the record of a webhook says that no filter could read its data', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  const subscribe = (path: string, fields: object) =>
    posthorn.request('POST', '/v1/subscriptions', { url: `${receiver.url}/${path}`, ...fields });
  const item = (data: string, type: string) => `{"event_type":"${type}","raw":true,"data":${data}}`;
  const send = (data: string, type = 'a') =>
    posthorn.request('POST', '/v1/webhooks', item(data, type));
  const isUnfilterable = async (id: string): Promise<boolean> => {
    const { json } = await posthorn.request('GET', `/v1/webhooks/${id}`);
    const { rows } = await client.query(
      'select unfilterable from posthorn.webhooks where webhook_id = $1',
      [id],
    );
    t.equal(rows[0].unfilterable, json.unfilterable, 'SQL says the same');
    return json.unfilterable;
  };

  await subscribe('all', { event_types: ['a'] });
  for (const filter of ['$.a == 1', '!exists($.b)']) await subscribe('some', { filter });
  await subscribe('none', { event_types: ['c'] });
  for (const data of UNREADABLE) {
    const { json } = await send(data);
    t.equal(json.deliveries, 1, 'only the subscription without a filter gets it');
    t.equal(await isUnfilterable(json.webhook_id), true, data.slice(0, 20));
  }
  for (const data of READABLE)
    t.equal(await isUnfilterable((await send(data)).json.webhook_id), false, data);

  const all = [...UNREADABLE, ...READABLE];
  const batch = await posthorn.request(
    'POST',
    '/v1/webhooks/batch',
    `{"webhooks":[${all.map((data) => item(data, 'a')).join()}]}`,
  );
  t.equal(batch.status, 202, batch.text);
  for (const [n, { webhook_id }] of batch.json.webhooks.entries())
    t.equal(await isUnfilterable(webhook_id), n < UNREADABLE.length, `${all[n]?.slice(0, 20)}`);

  await client.query('delete from posthorn.subscriptions where filter is not null');
  const { json } = await send('"\\u0000"');
  t.equal(await isUnfilterable(json.webhook_id), false, 'no filter had to read it');
});
