import { test } from 'tap';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const URL_GIVEN = { url: 'https://example.com/webhooks' };

test('delivery options can be set, and are shown as they were written', async (t) => {
  const { request } = await startTestService(t);
  const policy = {
    retry_schedule: '5s,5m',
    timeout: '10s',
    headers: { 'X-Environment': 'staging' },
    max_in_flight: 3,
    rate_limit: { limit: 50, per: '1s' },
    ordering: 'strict',
    channels: ['project-42'],
    metadata: { customer: 'c_17' },
  };
  const created = await request('POST', '/v1/subscriptions', { ...URL_GIVEN, ...policy });
  t.equal(created.status, 201, created.text);
  t.match(created.json, { ...policy, status: 'active', status_reason: null });
  const path = `/v1/subscriptions/${created.json.id}`;
  t.match((await request('GET', path)).json, policy);

  const none = { retry_schedule: null, timeout: null, headers: null, max_in_flight: null };
  const cleared = await request('PATCH', path, { ...none, rate_limit: null, ordering: 'none' });
  t.equal(cleared.status, 200, cleared.text);
  t.match(cleared.json, { ...none, rate_limit: null, ordering: 'none', channels: ['project-42'] });
});

test('an invalid delivery option is refused with its field and the reason', async (t) => {
  const { request } = await startTestService(t);
  const cases: [given: object, field: string, message: RegExp][] = [
    [{ retry_schedule: 'soon' }, 'body.retry_schedule', /not a duration/],
    [{ timeout: '10ms' }, 'body.timeout', /outside 100ms to 5m/],
    [{ timeout: 15 }, 'body.timeout', /type/],
    [{ headers: { Host: 'x' } }, 'body.headers.Host', /set by Posthorn/],
    [
      { headers: { 'transfer-encoding': 'chunked' } },
      'body.headers.transfer-encoding',
      /connection/,
    ],
    [{ headers: { 'Webhook-Id': '1' } }, 'body.headers.Webhook-Id', /set by Posthorn/],
    ...[
      ...['Content_Length', 'transfer_encoding', 'webhook_id', 'x_hub_signature_256', 'HOST'],
      ...['x_forwarded_for', 'X-Forwarded-Host', 'X_Real_IP', 'Forwarded', 'Proxy', 'te'],
      ...['content.type', 'webhook!timestamp', 'Proxy_Connection', 'Keep_Alive', 'EXPECT'],
    ].map((name): [object, string, RegExp] => [
      { headers: { [name]: '1' } },
      `body.headers.${name}`,
      /choose another name/,
    ]),
    [{ headers: { 'X-A_b': '1', 'x_a-B': '2' } }, 'body.headers.x_a-B', /read as one/],
    [{ headers: { ['x'.repeat(5_000)]: '1' } }, `body.headers.${'x'.repeat(100)}`, /100 char/],
    [{ headers: { 'a b': '1' } }, 'body.headers.a b', /not a header name/],
    [{ headers: { 'x-a': 'one\r\ntwo' } }, 'body.headers.x-a', /not allowed in a header/],
    [{ headers: { 'x-a': '1', 'X-A': '2' } }, 'body.headers.X-A', /twice/],
    [{ max_in_flight: 0 }, 'body.max_in_flight', />= 1/],
    [{ rate_limit: { limit: 1, per: '1ms' } }, 'body.rate_limit.per', /outside 100ms to 1d/],
    [{ rate_limit: { limit: 1 } }, 'body.rate_limit.per', /missing/],
    [{ ordering: 'fifo' }, 'body.ordering', /none, strict/],
    [{ channels: [] }, 'body.channels', /fewer than 1/],
    [{ channels: ['a b'] }, 'body.channels.0', /letters, digits/],
    [{ metadata: { a: 1 } }, 'body.metadata.a', /string/],
  ];
  for (const [given, field, message] of cases) {
    const { status, json } = await request('POST', '/v1/subscriptions', { ...URL_GIVEN, ...given });
    t.equal(status, 400, JSON.stringify(given));
    const problem = json.errors?.find((one: { field: string }) => one.field === field);
    t.match(problem?.message, message, `${JSON.stringify(given)}: ${JSON.stringify(json)}`);
  }
  t.strictSame((await request('GET', '/v1/subscriptions')).json.data, [], 'and nothing was stored');
});

test('a subscription with channels gets only webhooks with one of them', async (t) => {
  const { request } = await startTestService(t);
  const receiver = await startReceiver(t);
  const channels = ['project-42', 'project-43'];
  await request('POST', '/v1/subscriptions', { url: receiver.url, channels });
  const send = async (given: object) =>
    (await request('POST', '/v1/webhooks', { event_type: 'order.created', data: 1, ...given })).json
      .deliveries;
  t.equal(await send({ channels: ['project-42', 'other'] }), 1);
  t.equal(await send({ channels: ['other'] }), 0);
  t.equal(await send({}), 0);
  await request('POST', '/v1/subscriptions', { url: receiver.url });
  t.equal(await send({ channels: ['project-43'] }), 2);
  t.equal(await send({}), 1, 'and one that lists none gets all');
});
