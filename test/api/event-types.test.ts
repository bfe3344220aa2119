import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ORDER = {
  name: 'order.created',
  description: 'Somebody buys.',
  schema: {
    type: 'object',
    required: ['id'],
    properties: {
      id: { type: 'integer' },
      items: { type: 'array', items: { $ref: '#/$defs/item' } },
      email: { type: 'string', format: 'email' },
    },
    $defs: { item: { type: 'object', required: ['sku'], properties: { sku: { type: 'string' } } } },
  },
  example: { id: 7 },
};

const create = (posthorn: TestService, body: unknown) =>
  posthorn.request('POST', '/v1/event-types', body);
const send = (posthorn: TestService, event_type: string, data: unknown = { id: 1 }) =>
  posthorn.request('POST', '/v1/webhooks', { event_type, data });
const ask = (posthorn: TestService, settings: Record<string, boolean>) =>
  posthorn.request('PATCH', '/v1/event-type-settings', settings);

t.test('an event type can be created, read, changed, archived, listed and deleted', async (t) => {
  const posthorn = await startTestService(t);
  const made = await create(posthorn, ORDER);
  t.equal(made.status, 201);
  t.equal(made.headers.get('location'), '/v1/event-types/order.created');
  t.match(made.json, { ...ORDER, archived: false });
  t.match(await create(posthorn, ORDER), { status: 409, json: { detail: /PATCH/ } });
  const path = '/v1/event-types/order.created';
  t.strictSame((await posthorn.request('GET', path)).json, made.json);
  const changed = await posthorn.request('PATCH', path, { description: null, archived: true });
  t.match(changed.json, { description: null, archived: true, schema: ORDER.schema });
  t.match((await posthorn.request('PATCH', path, { schema: null })).json, { schema: null });
  t.match((await posthorn.request('PATCH', path, { example: null })).json, { example: null });

  for (const name of ['a', 'b', 'c']) await create(posthorn, { name });
  const names = async (query: string) =>
    (await posthorn.request('GET', `/v1/event-types${query}`)).json.data.map(
      ({ name }: { name: string }) => name,
    );
  t.strictSame(await names(''), ['a', 'b', 'c', 'order.created']);
  t.strictSame(await names('?archived=false'), ['a', 'b', 'c']);
  t.strictSame(await names('?archived=true'), ['order.created']);
  const { json: page } = await posthorn.request('GET', '/v1/event-types?limit=3');
  t.strictSame(await names(`?limit=3&cursor=${page.next_cursor}`), ['order.created']);

  t.strictSame((await posthorn.request('DELETE', path)).json, { deleted: true });
  for (const method of ['GET', 'DELETE'])
    t.equal((await posthorn.request(method, path)).status, 404, method);
  t.equal((await posthorn.request('PATCH', path, { archived: true })).status, 404);
});

t.test('schemas and examples are validated before they are stored', async (t) => {
  const posthorn = await startTestService(t);
  const cases: [fields: Record<string, unknown>, field: string, message: RegExp][] = [
    [{ name: 'posthorn.x' }, 'body.name', /kept for webhooks of Posthorn/],
    [{ name: 'import' }, 'body.name', /\/v1\/event-types\/import is another route/],
    [{ name: 'openapi.json' }, 'body.name', /\/v1\/event-types\/openapi\.json is another route/],
    [{ name: 'a b' }, 'body.name', /order\.created/],
    [{ name: 'a', schema: [] }, 'body.schema', /object/],
    [{ name: 'a', schema: { type: 'strnig' } }, 'body.schema', /schema is invalid/],
    [
      { name: 'a', schema: { pattern: '(' } },
      'body.schema',
      /regular expression|schema is invalid/,
    ],
    [{ name: 'a', schema: { $ref: 'https://example.com/a.json' } }, 'body.schema', /resolve/],
    [{ name: 'a', schema: { $ref: '#/$defs/none' } }, 'body.schema', /resolve/],
    [
      { name: 'a', schema: { $schema: 'http://json-schema.org/draft-04/schema#' } },
      'body.schema',
      /2020-12/,
    ],
    [{ name: 'a', schema: { description: 'x'.repeat(33_000) } }, 'body.schema', /32768/],
    [{ ...ORDER, example: { id: 'seven' } }, 'body.example.id', /integer/],
    [{ ...ORDER, example: {} }, 'body.example.id', /missing/],
  ];
  for (const [fields, field, message] of cases) {
    const { status, json, text } = await create(posthorn, fields);
    t.equal(status, 400, text);
    t.match(json.errors?.[0], { field, message }, text);
  }
  await create(posthorn, { name: 'order.created', example: { id: 'seven' } });
  const late = await posthorn.request('PATCH', '/v1/event-types/order.created', {
    schema: ORDER.schema,
  });
  t.match(late.json.errors, [{ field: 'body.example.id' }], 'with what is there already');
  const webhooks = { 'openapi.json': { post: {} } };
  const imported = await posthorn.request('POST', '/v1/event-types/import', {
    openapi: '3.1.0',
    webhooks,
  });
  t.match(imported.json.errors, [
    { field: 'body.webhooks.openapi.json', message: /"openapi.json"/ },
  ]);
  const client = await connect(t, posthorn.databaseUrl);
  await t.rejects(
    client.query(`insert into posthorn.event_types (name) values ('openapi.json')`),
    { message: /event_types_name_is_no_route/ },
    'in SQL too',
  );
});

t.test('by default, any event type and any data are accepted', async (t) => {
  const posthorn = await startTestService(t);
  await create(posthorn, ORDER);
  t.equal((await send(posthorn, 'unheard.of')).status, 202);
  t.equal((await send(posthorn, 'order.created', 'anything')).status, 202);
  t.strictSame((await posthorn.request('GET', '/v1/event-type-settings')).json, {
    strict: false,
    validate: false,
  });
});

t.test('a strict tenant accepts only registered types, in a batch and from SQL too', async (t) => {
  const posthorn = await startTestService(t);
  const client = await connect(t, posthorn.databaseUrl);
  t.equal((await create(posthorn, ORDER)).status, 201);
  t.equal((await create(posthorn, { name: 'old' })).status, 201);
  await posthorn.request('PATCH', '/v1/event-types/old', { archived: true });
  t.strictSame((await ask(posthorn, { strict: true })).json, { strict: true, validate: false });

  t.equal((await send(posthorn, 'order.created')).status, 202);
  const webhooks = ['order.created', 'new', 'old'].map((event_type) => ({ event_type, data: 1 }));
  const batch = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks });
  t.match(batch, {
    status: 400,
    json: {
      errors: [
        { field: 'body.webhooks.1.event_type', message: /not registered/ },
        { field: 'body.webhooks.2.event_type', message: /archived/ },
      ],
    },
  });
  for (const type of ['new', 'old']) {
    t.match((await send(posthorn, type)).json.errors, [{ field: 'body.event_type' }]);
    await t.rejects(client.query('select posthorn.send($1, null)', [type]), {
      code: '22023',
      hint: /event-types/,
    });
  }
  await client.query(`select posthorn.send('order.created', '"any data"')`);
  await create(posthorn, { name: 'new' });
  t.equal((await send(posthorn, 'new')).status, 202, 'as soon as it is registered');
});

t.test('data that does not match its schema is refused, with the place', async (t) => {
  const posthorn = await startTestService(t);
  await create(posthorn, ORDER);
  t.strictSame((await ask(posthorn, { validate: true })).json, { strict: false, validate: true });
  t.equal((await send(posthorn, 'order.created', { id: 1, more: true })).status, 202);
  t.equal((await send(posthorn, 'unheard.of', 'anything')).status, 202);
  const cases: [data: unknown, field: string, message: RegExp][] = [
    [{}, 'body.data.id', /missing/],
    [{ id: '1' }, 'body.data.id', /integer/],
    [[], 'body.data', /object/],
    [{ id: 1, items: [{ sku: 'a' }, {}] }, 'body.data.items.1.sku', /missing/],
    [{ id: 1, email: 'nobody' }, 'body.data.email', /email/],
  ];
  for (const [data, field, message] of cases) {
    const { status, json } = await send(posthorn, 'order.created', data);
    t.equal(status, 400, JSON.stringify(data));
    t.match(json.errors, [{ field, message }], JSON.stringify(data));
  }
  const webhooks = [{ id: 1 }, {}].map((data) => ({ event_type: 'order.created', data }));
  const batch = await posthorn.request('POST', '/v1/webhooks/batch', { webhooks });
  t.match(batch.json.errors, [{ field: 'body.webhooks.1.data.id' }]);
});

t.test('a change in one process takes effect in the others', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const [one, other] = [
    await startTestService(t, { DATABASE_URL: databaseUrl }),
    await startTestService(t, { DATABASE_URL: databaseUrl }),
  ];
  await create(one, ORDER);
  t.equal((await send(other, 'order.created', {})).status, 202);
  await ask(one, { validate: true });
  await until('the other asks it', async () => {
    return (await send(other, 'order.created', {})).status === 400;
  });
  await one.request('PATCH', '/v1/event-types/order.created', { schema: { type: 'object' } });
  await until('the other has the new schema', async () => {
    return (await send(other, 'order.created', {})).status === 202;
  });
});

t.test('an endless schema delays neither the service nor other schemas', async (t) => {
  const posthorn = await startTestService(t);
  const evil: Record<string, object> = {
    'evil.pattern': { pattern: '^(a+)+$' },
    // Each part applies the next one twice.
    'evil.laughs': {
      $ref: '#/$defs/d0',
      $defs: Object.fromEntries(
        Array.from({ length: 40 }, (_, n) => {
          const next = { $ref: `#/$defs/d${n + 1}` };
          return [`d${n}`, n === 39 ? { type: 'string' } : { allOf: [next, next] }];
        }),
      ),
    },
  };
  for (const [name, schema] of Object.entries(evil))
    t.equal((await create(posthorn, { name, schema })).status, 201, name);
  await create(posthorn, ORDER);
  await ask(posthorn, { validate: true });
  for (const name of Object.keys(evil)) {
    const hard = send(posthorn, name, `${'a'.repeat(40)}b`);
    const others = await Promise.all(
      Array.from({ length: 10 }, () => send(posthorn, 'order.created')),
    );
    t.ok(others.every(({ status }) => status === 202));
    t.match(await hard, {
      status: 400,
      json: { errors: [{ field: 'body.data', message: /took longer than 1000 ms/ }] },
    });
    t.match(await send(posthorn, name, 'b'), {
      status: 400,
      json: { errors: [{ message: /a moment ago/ }] },
    });
  }
});

t.test('the webhooks of an OpenAPI document become event types', async (t) => {
  const posthorn = await startTestService(t);
  const document = {
    openapi: '3.1.0',
    info: { title: 'Shop', version: '1' },
    paths: {},
    webhooks: {
      'order.created': {
        post: {
          description: 'Somebody buys.',
          requestBody: {
            content: {
              'application/json': {
                schema: { $ref: '#/components/schemas/Order' },
                examples: { small: { value: { id: 7, items: [] } } },
              },
            },
          },
        },
      },
      'order.paid': {
        post: {
          summary: 'It is paid.',
          requestBody: { $ref: '#/components/requestBodies/Paid' },
        },
      },
      ping: { post: {} },
    },
    components: {
      requestBodies: {
        Paid: {
          content: {
            'application/json': {
              schema: {
                type: 'object',
                properties: {
                  type: { const: 'order.paid' },
                  timestamp: { type: 'string' },
                  data: { type: 'object', required: ['by'] },
                },
              },
              example: {
                type: 'order.paid',
                timestamp: '2026-01-31T12:00:00Z',
                data: { by: 'card' },
              },
            },
          },
        },
      },
      schemas: {
        Order: {
          type: 'object',
          required: ['id'],
          properties: {
            id: { type: 'integer' },
            items: { type: 'array', items: { $ref: '#/components/schemas/Item' } },
            of: { $ref: '#/components/schemas/Order' },
          },
        },
        Item: { type: 'object', required: ['sku'] },
      },
    },
  };
  const put = (body: unknown) => posthorn.request('POST', '/v1/event-types/import', body);
  t.strictSame((await put(document)).json, {
    created: ['order.created', 'order.paid', 'ping'],
    updated: [],
  });
  t.strictSame((await put(document)).json, {
    created: [],
    updated: ['order.created', 'order.paid', 'ping'],
  });
  const { json } = await posthorn.request('GET', '/v1/event-types/order.created');
  t.match(json, { description: 'Somebody buys.', example: { id: 7, items: [] } });
  t.match((await posthorn.request('GET', '/v1/event-types/order.paid')).json, {
    description: 'It is paid.',
    schema: { type: 'object', required: ['by'] },
    example: { by: 'card' },
  });
  await ask(posthorn, { strict: true, validate: true });
  t.equal((await send(posthorn, 'order.created', { id: 1, of: { id: 2 } })).status, 202);
  t.match((await send(posthorn, 'order.created', { id: 1, of: { items: [{}] } })).json.errors, [
    { field: 'body.data.of.id', message: /missing/ },
  ]);
  t.match((await send(posthorn, 'order.created', { id: 1, items: [{}] })).json.errors, [
    { field: 'body.data.items.0.sku' },
  ]);
  t.equal((await send(posthorn, 'ping', null)).status, 202);

  const post = (schema: object) => ({
    post: { requestBody: { content: { 'application/json': { schema } } } },
  });
  const wrong: [document: unknown, field: RegExp, message: RegExp][] = [
    [{ ...document, openapi: '3.0.3' }, /^body\.openapi$/, /3\.1/],
    [{ ...document, webhooks: {} }, /^body\.webhooks$/, /one webhook/],
    [{ openapi: '3.1.0' }, /^body\.webhooks$/, /missing/],
    [{ ...document, webhooks: { 'not a type': { post: {} } } }, /not a type$/, /order\.created/],
    [{ ...document, webhooks: { a: { get: {} } } }, /webhooks\.a$/, /post/],
    [
      { ...document, webhooks: { a: post({ $ref: '#/components/schemas/None' }) } },
      /webhooks\.a\.post\.requestBody$/,
      /does not exist/,
    ],
    [{ ...document, webhooks: { a: { $ref: 'a.yaml' } } }, /webhooks\.a$/, /#\//],
    [{ ...document, webhooks: { a: post({ type: 'strnig' }) } }, /webhooks\.a\.schema$/, /invalid/],
  ];
  for (const [body, field, message] of wrong) {
    const { status, json } = await put(body);
    t.equal(status, 400, JSON.stringify(json));
    t.match(json.errors[0], { field, message }, JSON.stringify(json));
  }
});
