import t from 'tap';
import { listOperations } from '../helpers/operations.ts';
import { startTestService } from '../helpers/service.ts';

/** Many times as deep as what Postgres reads and JSON.stringify writes. */
const LEVELS = 30_000;
// JSON.stringify does not write them.
const DEEP = {
  array: '['.repeat(LEVELS) + ']'.repeat(LEVELS),
  object: `${'{"a":'.repeat(LEVELS)}1${'}'.repeat(LEVELS)}`,
};
/** Deeper than Postgres reads and JSON.stringify writes, and not than all that JavaScript does. */
const LESS_DEEP = '['.repeat(4_000) + ']'.repeat(4_000);

t.test('a field that is nested 30,000 levels deep never causes a 500', async (t) => {
  const posthorn = await startTestService(t);
  await posthorn.request('POST', '/v1/event-types', { name: 'order.created', schema: {} });
  await posthorn.request('PATCH', '/v1/event-type-settings', { validate: true });
  const operations = (await listOperations(posthorn)).filter(
    ({ example }) => example !== undefined,
  );
  t.ok(operations.length > 10);
  for (const { method, path, example, fields } of operations) {
    const target = path.replace('{event_type}', 'order.created').replaceAll(/\{[^}]+\}/g, '1');
    for (const [shape, deep] of Object.entries({ ...DEEP, LESS_DEEP }))
      for (const field of [undefined, 'not_a_field', ...fields]) {
        const body =
          field === undefined
            ? deep
            : JSON.stringify({ ...(example as object), [field]: 'HERE' }).replace('"HERE"', deep);
        const { status, text } = await posthorn.request(method, target, body);
        const what = `${method} ${path} ${field ?? 'its body'}, ${shape}`;
        if (status >= 500) t.fail(`${what}: ${status} ${text.slice(0, 300)}`);
      }
  }
});

t.test('schemas and examples may have 256 levels', async (t) => {
  const posthorn = await startTestService(t);
  const nested = (levels: number) => `${'{"items":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`;
  const cases: [method: string, field: 'schema' | 'example', levels: number, status: number][] = [
    ['POST', 'schema', 256, 201],
    ['PATCH', 'schema', 256, 200],
    ['PATCH', 'example', 256, 200],
    ['PATCH', 'schema', 257, 400],
    ['PATCH', 'example', 257, 400],
    ['PATCH', 'example', LEVELS, 400],
    ['POST', 'example', LEVELS, 400],
  ];
  for (const [method, field, levels, status] of cases) {
    const [path, name] =
      method === 'POST' ? ['/v1/event-types', '"name":"a",'] : ['/v1/event-types/a', ''];
    const body = `{${name}"${field}":${nested(levels)}}`;
    const answer = await posthorn.request(method, path as string, body);
    t.equal(answer.status, status, `${method} ${field} ${levels}: ${answer.text.slice(0, 300)}`);
    if (status === 400)
      t.match(answer.json.errors, [{ field: `body.${field}`, message: /at most 256 levels/ }]);
  }
});

t.test('data of any depth is sent unchanged, unless a schema cannot follow it', async (t) => {
  const posthorn = await startTestService(t);
  const send = (event_type: string, data: string) =>
    posthorn.request('POST', '/v1/webhooks', `{"event_type":"${event_type}","data":${data}}`);
  const follows = { $ref: '#/$defs/a', $defs: { a: { properties: { a: { $ref: '#/$defs/a' } } } } };
  await posthorn.request('POST', '/v1/event-types', { name: 'follows', schema: follows });
  await posthorn.request('PATCH', '/v1/event-type-settings', { validate: true });
  const { status, json } = await send('any', DEEP.object);
  t.equal(status, 202);
  const stored = await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`);
  t.equal(stored.status, 200);
  t.match(await send('follows', DEEP.object), {
    status: 400,
    json: { errors: [{ field: 'body.data', message: /nested too deeply/ }] },
  });
  const batch = `{"webhooks":[{"event_type":"any","data":${DEEP.array}},{"event_type":"follows","data":${DEEP.object}}]}`;
  t.match(await posthorn.request('POST', '/v1/webhooks/batch', batch), {
    status: 400,
    json: { errors: [{ field: 'body.webhooks.1.data', message: /nested too deeply/ }] },
  });
});

t.test('errors about data are short, however large the data is', async (t) => {
  const posthorn = await startTestService(t);
  const follows = {
    $ref: '#/$defs/a',
    $defs: {
      a: {
        anyOf: Array.from({ length: 50 }, () => ({ type: 'integer' })),
        additionalProperties: { $ref: '#/$defs/a' },
      },
    },
  };
  const schemas: Record<string, object> = {
    deep: follows,
    wide: { additionalProperties: false },
    wordy: { enum: Array.from({ length: 2_000 }, (_, n) => `value${n}`) },
    pattern: { pattern: `^${'x'.repeat(30_000)}$` },
    names: { propertyNames: { maxLength: 3 } },
  };
  const name = 'n'.repeat(100_000);
  const data: Record<string, string> = {
    deep: `${`{"${'a'.repeat(1000)}":`.repeat(500)}true${'}'.repeat(500)}`,
    wide: JSON.stringify({ [name]: 1 }),
    wordy: '"other"',
    pattern: '"y"',
    names: JSON.stringify({ [name]: 1 }),
  };
  await posthorn.request('PATCH', '/v1/event-type-settings', { validate: true });
  for (const [type, schema] of Object.entries(schemas)) {
    const made = await posthorn.request('POST', '/v1/event-types', { name: type, schema });
    t.equal(made.status, 201, made.text.slice(0, 300));
    const body = `{"event_type":"${type}","data":${data[type]}}`;
    const { status, json, text } = await posthorn.request('POST', '/v1/webhooks', body);
    t.equal(status, 400, text.slice(0, 300));
    t.match(json.errors[0].field, /^body\.data/);
    t.ok(text.length < 30_000, `${type}: ${text.length} bytes`);
  }
});
