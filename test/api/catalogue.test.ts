// The event types of a tenant as an OpenAPI document.
import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import t from 'tap';
import { startTestService } from '../helpers/service.ts';

const TREE = {
  type: 'object',
  properties: {
    // Properties may be named as keywords are.
    $ref: { type: 'string' },
    const: { $ref: '#/$defs/money' },
    children: { type: 'array', items: { $ref: '#' } },
  },
  examples: [{ $ref: '#/not/a/reference' }],
  $defs: { money: { type: 'integer', minimum: 0 } },
};

t.test('the document describes each event type, and OpenAPI tools read it', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const empty = await posthorn.request('GET', '/v1/event-types/openapi.json');
  t.match(empty.json, { openapi: '3.1.0', webhooks: {} });
  const make = (fields: object, tenant = 'default') =>
    posthorn.request('POST', `/v1/event-types?tenant=${tenant}`, fields);
  await posthorn.request('POST', '/v1/tenants', { id: 'globex' });
  const data = { const: 5, children: [] };
  t.equal(
    (await make({ name: 'tree.grown', description: 'A tree', schema: TREE, example: data })).status,
    201,
  );
  await make({ name: 'tree.felled' });
  await make({ name: 'tree.gone' });
  await posthorn.request('PATCH', '/v1/event-types/tree.gone', { archived: true });
  await make({ name: 'secret.of.globex' }, 'globex');

  const { json, text } = await posthorn.request('GET', '/v1/event-types/openapi.json');
  t.strictSame(Object.keys(json.webhooks), ['tree.felled', 'tree.grown']);
  const { post } = json.webhooks['tree.grown'];
  t.match(post, { summary: 'tree.grown', description: 'A tree' });
  const config = await createConfig({ extends: ['spec'] });
  const found = await lintFromString({ source: text, absoluteRef: '/openapi.json', config });
  t.strictSame(
    found.map(({ message, location }) => `${message} at ${location.map(({ pointer }) => pointer)}`),
    [],
  );

  const { schema, example } = post.requestBody.content['application/json'];
  t.match(example, { type: 'tree.grown', data });
  const ajv = new Ajv2020({ strict: false, validateFormats: false });
  const validate = ajv.compile({ ...schema, components: json.components });
  t.ok(validate(example), ajv.errorsText(validate.errors));
  for (const wrong of [{ const: -1 }, { children: [{ children: [{ const: 'x' }] }] }])
    t.notOk(validate({ ...example, data: wrong }), JSON.stringify(wrong));
  t.strictSame(json.components.schemas['tree.grown'].examples, TREE.examples);

  const imported = await posthorn.request('POST', '/v1/event-types/import?tenant=globex', json);
  t.equal(imported.status, 200, imported.text);
  const { json: copy } = await posthorn.request('GET', '/v1/event-types/tree.grown?tenant=globex');
  t.match(copy, { description: 'A tree', example: data });
});
