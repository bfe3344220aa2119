import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

async function subscribe(
  posthorn: TestService,
  url: string,
  fields: Record<string, unknown>,
): Promise<number> {
  const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    ...fields,
  });
  if (status !== 201) throw new Error(text);
  return json.id;
}

const send = (posthorn: TestService, data: unknown, more: Record<string, unknown> = {}) =>
  posthorn.request('POST', '/v1/webhooks', { event_type: 'order.created', data, ...more });

t.test('a webhook goes to subscriptions whose types, channels and filter match', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const filter = '$.total > 100';
  await subscribe(posthorn, `${receiver.url}/all`, {});
  await subscribe(posthorn, `${receiver.url}/large`, { filter });
  await subscribe(posthorn, `${receiver.url}/here`, { filter, channels: ['here'] });
  await subscribe(posthorn, `${receiver.url}/other`, { filter, event_types: ['invoice.*'] });
  // Held from the start, which is another way through the statement.
  await subscribe(posthorn, 'http://127.0.0.1:9/held', { filter, max_in_flight: 1 });

  const cases: [data: unknown, channels: string[] | undefined, paths: string[]][] = [
    [{ total: 1 }, undefined, ['all']],
    [{ total: 1 }, ['here'], ['all']],
    [{ total: 101 }, undefined, ['all', 'large']],
    [{ total: 101 }, ['here', 'there'], ['all', 'here', 'large']],
    ['no object', ['here'], ['all']],
  ];
  for (const [data, channels, paths] of cases) {
    const before = receiver.received.length;
    const { json } = await send(posthorn, data, channels ? { channels } : {});
    const held = paths.includes('large') ? 1 : 0;
    t.equal(json.deliveries, paths.length + held, JSON.stringify([data, channels]));
    const requests = (await receiver.waitFor(before + paths.length)).slice(before);
    t.strictSame(requests.map(({ path }) => path.slice(1)).sort(), paths);
  }

  const client = await connect(t, posthorn.databaseUrl);
  await client.query(
    `select posthorn.send_many(array['order.created', 'order.created'], '{"{\\"total\\": 7}","{\\"total\\": 700}"}')`,
  );
  const paths = (await receiver.waitFor(11)).slice(8).map(({ path }) => path.slice(1));
  t.strictSame(paths.sort(), ['all', 'all', 'large'], 'by SQL too');
});

t.test('a webhook without a matching subscription is accepted, without deliveries', async (t) => {
  const posthorn = await startTestService(t);
  await subscribe(posthorn, 'http://127.0.0.1:9/', { filter: '$.a == 1' });
  const { status, json } = await send(posthorn, { a: 2 });
  t.strictSame([status, json.deliveries], [202, 0]);
});

t.test('a webhook for one subscription is sent without regard to its filter', async (t) => {
  const posthorn = await startTestService(t);
  const id = await subscribe(posthorn, 'http://127.0.0.1:9/', { filter: '$.a == 1' });
  t.equal((await send(posthorn, { a: 2 }, { subscription_id: id })).json.deliveries, 1);
  await posthorn.ingest(id, { a: 2 });
});

t.test('a filter can be changed and removed, and is shown', async (t) => {
  const posthorn = await startTestService(t);
  const id = await subscribe(posthorn, 'http://127.0.0.1:9/', { filter: '$.a == 1' });
  const path = `/v1/subscriptions/${id}`;
  t.equal((await posthorn.request('GET', path)).json.filter, '($."a" == 1)');
  t.equal((await send(posthorn, { a: 2 })).json.deliveries, 0);
  t.equal((await posthorn.request('PATCH', path, { filter: '$.a == 2' })).status, 200);
  t.equal((await send(posthorn, { a: 2 })).json.deliveries, 1);
  t.equal((await posthorn.request('PATCH', path, { filter: null })).json.filter, null);
  t.equal((await send(posthorn, { a: 3 })).json.deliveries, 1);
  const refused = await posthorn.request('PATCH', path, { filter: '$.**' });
  t.match(refused.json.errors, [{ field: 'body.filter', message: /all depths/ }]);
});

t.test('data that costs too much to filter is refused, and no other webhook is', async (t) => {
  const posthorn = await startTestService(t);
  const filter = '$[*] ? (@ == 1 || @ == 2 || @ == 3 || @ == 4 || @ == 5 || @ == 6 || @ == 7)';
  for (let n = 0; n < 4; n++)
    await subscribe(posthorn, 'http://127.0.0.1:9/', { filter, event_types: ['heavy'] });
  await subscribe(posthorn, 'http://127.0.0.1:9/', { event_types: ['light'] });
  const heavy = { event_type: 'heavy', data: Array(300_000).fill(8) };
  const light = { event_type: 'light', data: 1 };
  const [refused, ...others] = await Promise.all([
    posthorn.request('POST', '/v1/webhooks', heavy),
    ...Array.from({ length: 20 }, () => posthorn.request('POST', '/v1/webhooks', light)),
  ]);
  t.match(refused, { status: 413, json: { detail: /filters/ } });
  t.ok(others.every(({ status, json }) => status === 202 && json.deliveries === 1));

  const batch = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks: [light, heavy] });
  t.equal(batch.status, 413, 'all or none');
  const client = await connect(t, posthorn.databaseUrl);
  await t.rejects(
    client.query(`select posthorn.send('heavy', $1)`, [JSON.stringify(heavy.data)]),
    { code: '54000', hint: /filters/ },
    'by SQLSTATE',
  );
  const { rows } = await client.query('select distinct event_type from posthorn.webhooks');
  t.strictSame(rows, [{ event_type: 'light' }]);
  const smaller = { ...heavy, data: Array(50_000).fill(8) };
  t.equal((await posthorn.request('POST', '/v1/webhooks', smaller)).status, 202);
});

t.test('a filter can be tested on the last webhooks, with types and channels', async (t) => {
  const posthorn = await startTestService(t);
  const id = await posthorn.subscribe('http://127.0.0.1:9/');
  await posthorn.ingest(id, { total: 500 });
  for (let n = 0; n < 110; n++) {
    await posthorn.request('POST', '/v1/webhooks', {
      event_type: n % 2 === 0 ? 'order.created' : 'invoice.paid',
      data: { total: n },
      ...(n % 10 === 0 ? { channels: ['ten'] } : {}),
    });
  }
  const tried = async (body: Record<string, unknown>) =>
    (await posthorn.request('POST', '/v1/filters/test', body)).json;
  const all = await tried({ filter: '$.total >= 60' });
  t.match(all, { tested: 100, matched: 50 });
  t.match(all.webhooks[0], { event_type: 'invoice.paid', channels: null, matches: true });
  t.match(all.webhooks[99], { event_type: 'order.created', channels: ['ten'], matches: false });
  t.match(await tried({ filter: '$.total >= 60', event_types: ['order.*'] }), { matched: 25 });
  t.match(await tried({ filter: '$.total >= 60', channels: ['ten'] }), { matched: 5 });
  t.match(await tried({ filter: '$.total >= 60', event_types: [] }), { matched: 0 });
});
