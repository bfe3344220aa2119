import { Ajv2020 } from 'ajv/dist/2020.js';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { bodyExamplesOf, operationsOf } from '../helpers/openapi.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

interface Operation {
  operationId: string;
  summary: string;
  // biome-ignore lint/suspicious/noExplicitAny: a document is explored, not assumed
  responses: Record<string, { description: string; content?: Record<string, { schema: any }> }>;
  requestBody?: unknown;
}

/** One service, shared by all tests that need no settings and no database of their own. */
const posthorn = await startTestService(t);

t.test(
  'the OpenAPI document names every route, and describes every error as problem+json',
  async (t) => {
    const { json: document, status } = await posthorn.request('GET', '/api/docs/json');
    t.equal(status, 200);
    t.equal(document.openapi, '3.1.0');
    t.strictSame(Object.keys(document.paths).sort(), [
      '/healthz',
      '/ingest/getsignature',
      '/ingest/{subscription_id}',
      '/logs/deliverylogs',
      '/metrics',
      '/ping',
      '/readyz',
      '/subscriptions/createsubscription',
      '/subscriptions/deletesubscription',
      '/subscriptions/getsubscriptions',
      '/subscriptions/updatesubscription',
      '/v1/attempts',
      '/v1/backfills',
      '/v1/backfills/{backfill_id}',
      '/v1/backfills/{backfill_id}/cancel',
      '/v1/catalogue',
      '/v1/deliveries',
      '/v1/deliveries/cancel',
      '/v1/deliveries/{delivery_id}',
      '/v1/deliveries/{delivery_id}/attempts/{attempt_number}/request',
      '/v1/deliveries/{delivery_id}/cancel',
      '/v1/deliveries/{delivery_id}/retry',
      '/v1/deliveries/{delivery_id}/why',
      '/v1/event-type-settings',
      '/v1/event-types',
      '/v1/event-types/import',
      '/v1/event-types/openapi.json',
      '/v1/event-types/{event_type}',
      '/v1/filters/test',
      '/v1/keys',
      '/v1/keys/{key_id}',
      '/v1/problems',
      '/v1/session',
      '/v1/session/portal',
      '/v1/settings',
      '/v1/stats',
      '/v1/stats/queue',
      '/v1/stats/series',
      '/v1/stream',
      '/v1/subscriptions',
      '/v1/subscriptions/{subscription_id}',
      '/v1/subscriptions/{subscription_id}/acknowledge',
      '/v1/subscriptions/{subscription_id}/enable',
      '/v1/subscriptions/{subscription_id}/health',
      '/v1/subscriptions/{subscription_id}/pause',
      '/v1/subscriptions/{subscription_id}/public-key',
      '/v1/subscriptions/{subscription_id}/pull',
      '/v1/subscriptions/{subscription_id}/recover',
      '/v1/subscriptions/{subscription_id}/replay',
      '/v1/subscriptions/{subscription_id}/replay-latest',
      '/v1/subscriptions/{subscription_id}/resume',
      '/v1/subscriptions/{subscription_id}/rotate-secret',
      '/v1/subscriptions/{subscription_id}/test',
      '/v1/tasks',
      '/v1/tasks/{task_id}',
      '/v1/tasks/{task_id}/cancel',
      '/v1/tenants',
      '/v1/tenants/{tenant_id}',
      '/v1/tenants/{tenant_id}/portal',
      '/v1/watches',
      '/v1/watches/{watch_id}',
      '/v1/watches/{watch_id}/backfills',
      '/v1/webhooks',
      '/v1/webhooks/batch',
      '/v1/webhooks/{webhook_id}',
      '/v1/webhooks/{webhook_id}/cancel',
    ]);
    const ids = new Set<string>();
    for (const [path, operations] of Object.entries<Record<string, Operation>>(document.paths)) {
      for (const [method, operation] of Object.entries(operations)) {
        const name = `${method} ${path}`;
        t.ok(operation.summary, `${name} has a summary`);
        t.notOk(ids.has(operation.operationId), `${name} has an operationId of its own`);
        ids.add(operation.operationId);
        for (const code of ['500', '503', ...(operation.requestBody ? ['400', '413', '415'] : [])])
          t.ok(operation.responses[code], `${name} describes ${code}`);
        for (const [code, response] of Object.entries(operation.responses)) {
          t.ok(
            response.description && response.description !== 'Default Response',
            `${name} ${code} is described`,
          );
          if (Number(code) >= 400)
            t.strictSame(Object.keys(response.content ?? {}), ['application/problem+json'], name);
        }
      }
    }
  },
);

t.test('the document tells which scope each operation needs', async (t) => {
  const open = [
    ...['/healthz', '/metrics', '/ping', '/readyz'],
    ...['/v1/catalogue', '/v1/session', '/v1/session/portal'],
  ];
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: 'an admin key of some length' });
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  t.match(document.components.securitySchemes, { bearerAuth: { type: 'http', scheme: 'bearer' } });
  for (const [path, operations] of Object.entries<Record<string, { security?: unknown }>>(
    document.paths,
  )) {
    const ofService = ['/v1/keys', '/v1/settings', '/v1/tenants', '/v1/watches', '/v1/backfills'];
    const scopes =
      ofService.some((start) => path.startsWith(start)) && !path.endsWith('/portal')
        ? /^admin$/
        : /^(read|send|pull|manage)$/;
    const expected = open.includes(path)
      ? []
      : path === '/ingest/{subscription_id}'
        ? [{ bearerAuth: ['send'] }, {}]
        : [{ bearerAuth: [scopes] }];
    for (const [method, { security }] of Object.entries(operations))
      t.match(security, expected, `${method} ${path}`);
  }
  const { paths } = document;
  t.strictSame(paths['/v1/subscriptions'].get.security, [{ bearerAuth: ['read'] }]);
  t.strictSame(paths['/v1/subscriptions'].post.security, [{ bearerAuth: ['manage'] }]);
  t.strictSame(paths['/v1/webhooks'].post.security, [{ bearerAuth: ['send'] }]);
});

t.test('the document says that a key is optional where none is required', async (t) => {
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  t.strictSame(document.paths['/v1/stats'].get.security, [{ bearerAuth: ['read'] }, {}]);
  t.strictSame(document.paths['/ping'].get.security, []);
});

t.test('the document describes answers by their statuses, and metrics as text', async (t) => {
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  const { content } = document.paths['/metrics'].get.responses['200'];
  t.strictSame(Object.keys(content), ['text/plain']);
  const { headers } = await posthorn.request('GET', '/metrics');
  t.match(headers.get('content-type'), /^text\/plain/);
  const described = document.paths['/v1/subscriptions/{subscription_id}'].get.responses;
  for (const status of [
    '200',
    '400',
    '401',
    '403',
    '404',
    '408',
    '414',
    '429',
    '431',
    '500',
    '503',
  ])
    t.ok(described[status], `${status} is described`);
});

t.test('the examples of request bodies work when sent', async (t) => {
  const receiver = await startReceiver(t);
  await posthorn.subscribe(receiver.url);
  const pulled = String(await subscribeAs(posthorn, { url: null }));
  const application = await connect(t, posthorn.databaseUrl);
  await application.query('create table public.orders (id integer primary key)');
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  let tried = 0;
  const isDelete = ({ method }: { method: string }) => Number(method === 'delete');
  const operations = operationsOf(document).sort((one, other) => isDelete(one) - isDelete(other));
  for (const operation of operations) {
    const [example] = bodyExamplesOf(operation);
    // Their examples are a key and a token, which are not of this service.
    if (example === undefined || /^create(Portal)?Session$/.test(operation.operationId)) continue;
    const { method, path } = operation;
    const reply = await posthorn.request(
      method.toUpperCase(),
      path
        .replace(
          '{subscription_id}',
          operation.operationId === 'acknowledgeDeliveries' ? pulled : '1',
        )
        .replace('{tenant_id}', 'acme')
        .replace('{watch_id}', '1')
        .replace('{event_type}', 'order.created'),
      example,
    );
    t.ok(reply.status < 300, `${method} ${path}: ${reply.status} ${reply.text}`);
    tried += 1;
  }
  t.ok(tried >= 4);
});

t.test('answers match the schemas of the document', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end('answer');
  });
  const posthorn = await startTestService(t, { POSTHORN_PUBLIC_CATALOGUE: '*' });
  const id = await posthorn.subscribe(receiver.url);
  const webhookId = await posthorn.ingest(id);
  const pulled = await subscribeAs(posthorn, { url: null });
  await posthorn.ingest(pulled);
  await until('the delivery has succeeded', async () => {
    const { json } = await posthorn.request('GET', '/v1/stats');
    return json.succeeded === 1;
  });
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const checks: [method: string, path: string, at: string, body?: unknown][] = [
    [
      'post',
      '/subscriptions/createsubscription',
      '/subscriptions/createsubscription',
      { url: receiver.url },
    ],
    [
      'put',
      '/subscriptions/updatesubscription',
      '/subscriptions/updatesubscription',
      { id, url: receiver.url },
    ],
    ['get', '/subscriptions/getsubscriptions', '/subscriptions/getsubscriptions'],
    ['get', '/logs/deliverylogs', '/logs/deliverylogs'],
    ['get', '/v1/webhooks/{webhook_id}', `/v1/webhooks/${webhookId}`],
    ['get', '/v1/webhooks/{webhook_id}', `/v1/webhooks/${webhookId}?include=body`],
    ['get', '/v1/webhooks', '/v1/webhooks?limit=1'],
    ['get', '/v1/deliveries', '/v1/deliveries?limit=1'],
    ['get', '/v1/deliveries/{delivery_id}', `/v1/deliveries/${webhookId}.${id}`],
    ['get', '/v1/deliveries/{delivery_id}', '/v1/deliveries/7'],
    [
      'get',
      '/v1/deliveries/{delivery_id}/attempts/{attempt_number}/request',
      `/v1/deliveries/${webhookId}.${id}/attempts/1/request`,
    ],
    ['post', '/v1/deliveries/{delivery_id}/retry', `/v1/deliveries/${webhookId}.${id}/retry`],
    ['post', '/v1/deliveries/{delivery_id}/cancel', `/v1/deliveries/${webhookId}.${id}/cancel`],
    ['post', '/v1/deliveries/cancel', '/v1/deliveries/cancel', { subscription_id: id }],
    ['get', '/v1/attempts', '/v1/attempts?limit=1'],
    ['post', '/v1/subscriptions/{subscription_id}/test', `/v1/subscriptions/${id}/test`, {}],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/replay',
      `/v1/subscriptions/${id}/replay`,
      { since: '2026-01-31T12:00:00Z' },
    ],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/replay-latest',
      `/v1/subscriptions/${id}/replay-latest`,
      { last: 2 },
    ],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/recover',
      `/v1/subscriptions/${id}/recover`,
      { since: '2026-01-31T12:00:00Z' },
    ],
    ['get', '/v1/subscriptions/{subscription_id}/pull', `/v1/subscriptions/${id}/pull`],
    ['get', '/v1/subscriptions/{subscription_id}/pull', `/v1/subscriptions/${pulled}/pull`],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/acknowledge',
      `/v1/subscriptions/${pulled}/acknowledge`,
      { results: [{ token: 'AYkKXayWd0u8zrMCCZqAVwAAAAE', result: 'released' }] },
    ],
    ['get', '/v1/tasks', '/v1/tasks'],
    ['get', '/v1/tasks/{task_id}', `/v1/tasks/${webhookId}`],
    ['get', '/v1/stats', '/v1/stats'],
    ['get', '/v1/settings', '/v1/settings'],
    ['post', '/v1/subscriptions', '/v1/subscriptions', { url: receiver.url }],
    ['get', '/v1/subscriptions', '/v1/subscriptions'],
    ['get', '/v1/subscriptions', '/v1/subscriptions?include=health'],
    ['get', '/v1/subscriptions/{subscription_id}', `/v1/subscriptions/${id}`],
    [
      'post',
      '/v1/subscriptions',
      '/v1/subscriptions',
      { url: receiver.url, generate_secret: true, verify: { scheme: 'github', secret: 'x' } },
    ],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/rotate-secret',
      '/v1/subscriptions/2/rotate-secret',
      { signature_scheme: 'ed25519' },
    ],
    [
      'post',
      '/v1/subscriptions/{subscription_id}/rotate-secret',
      '/v1/subscriptions/2/rotate-secret',
      {},
    ],
    ['get', '/v1/subscriptions/{subscription_id}/public-key', '/v1/subscriptions/2/public-key'],
    ['get', '/v1/subscriptions/{subscription_id}/public-key', `/v1/subscriptions/${id}/public-key`],
    ['get', '/v1/subscriptions/{subscription_id}/health', `/v1/subscriptions/${id}/health`],
    ['post', '/v1/subscriptions/{subscription_id}/enable', `/v1/subscriptions/${id}/enable`],
    ['post', '/v1/webhooks', '/v1/webhooks', { event_type: 'a.b', data: 1 }],
    ['post', '/v1/webhooks', '/v1/webhooks', { event_type: 'a b', data: 1 }],
    ['get', '/v1/catalogue', '/v1/catalogue'],
    ['get', '/ping', '/ping'],
    ['get', '/readyz', '/readyz'],
    ['post', '/ingest/{subscription_id}', `/ingest/${id}`, {}],
    ['post', '/ingest/{subscription_id}', '/ingest/777', {}],
    ['get', '/v1/webhooks/{webhook_id}', '/v1/webhooks/7'],
    ['delete', '/subscriptions/deletesubscription', '/subscriptions/deletesubscription', { id }],
  ];
  for (const [method, path, at, body] of checks) {
    const reply = await posthorn.request(method.toUpperCase(), at, body);
    const type = (reply.headers.get('content-type') ?? '').split(';')[0] as string;
    const schema = document.paths[path][method].responses[reply.status]?.content?.[type]?.schema;
    t.ok(schema, `${method} ${at}: the document knows ${reply.status} ${type}`);
    const { components } = document;
    t.ok(
      ajv.validate({ ...schema, components }, reply.json),
      `${method} ${at}: ${ajv.errorsText()} ${reply.text}`,
    );
  }
});

t.test('Swagger UI is at /api/docs/', async (t) => {
  const page = await posthorn.request('GET', '/api/docs/');
  t.equal(page.status, 200);
  t.match(page.headers.get('content-type'), /text\/html/);
  t.match(page.text, /swagger-ui/);
  const script = /src="([^"]*swagger-ui-bundle\.js)"/.exec(page.text)?.[1];
  t.equal(
    (await posthorn.request('GET', new URL(script ?? '', `${posthorn.url}/api/docs/`).pathname))
      .status,
    200,
  );
});

t.test('/metrics counts what was accepted and attempted', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  await posthorn.ingest(await posthorn.subscribe(receiver.url));
  const text = await until('the attempt is counted', async () => {
    const { text } = await posthorn.request('GET', '/metrics');
    return text.includes('posthorn_attempts_total{status="success"} 1') && text;
  });
  t.match(text, /posthorn_webhooks_accepted_total 1/);
  t.match(text, /process_resident_memory_bytes \d+/);
});
