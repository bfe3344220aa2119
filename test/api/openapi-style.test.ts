import { createConfig, lintFromString } from '@redocly/openapi-core';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import t from 'tap';
import {
  bodyExamplesOf,
  bodySchemaOf,
  operationsOf,
  readDocument,
  resolve,
  type Schema,
} from '../helpers/openapi.ts';
import { startTestService } from '../helpers/service.ts';

/** Laws of the document that whoever adds a route keeps too. */

/** The first system's paths, which are as they were. */
const FIRST_SYSTEM = /^\/(subscriptions|ingest|logs)\//;

const RULES = {
  'operation-tag-defined': 'error',
  'operation-singular-tag': 'error',
  'parameter-description': 'error',
  'path-params-defined': 'error',
  'operation-4xx-problem-details-rfc7807': 'error',
  'component-name-unique': 'error',
  'array-parameter-serialization': 'error',
  // Off, as `recommended` has them: operation-description (each has a summary, and a description
  // where there is more to say), info-contact (whoever runs the service is to be asked),
  // path-segment-plural and no-http-verbs-in-paths (the first system's paths are what they are),
  // scalar-property-missing-example (bodies have examples as a whole, which is checked below).
} as const;

const keyed = await startTestService(t, { POSTHORN_ADMIN_KEY: 'an admin key of some length' });
const posthorn = await startTestService(t);
const document = await readDocument(posthorn);

for (const [how, { request }] of Object.entries({ 'with a key': keyed, 'without one': posthorn })) {
  t.test(`the linter finds nothing in the document, ${how}`, async (t) => {
    const { text } = await request('GET', '/api/docs/json');
    const config = await createConfig({ extends: ['recommended'], rules: RULES });
    const found = await lintFromString({ source: text, absoluteRef: '/openapi.json', config });
    t.strictSame(
      found.map(
        ({ severity, ruleId, message, location }) =>
          `${severity} ${ruleId}: ${message} at ${location.map(({ pointer }) => pointer)}`,
      ),
      [],
    );
  });
}

t.test('every body has an example that is valid by its schema', async (t) => {
  const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
  let seen = 0;
  for (const operation of operationsOf(document)) {
    const schema = bodySchemaOf(operation);
    if (schema === undefined) continue;
    const name = `${operation.operationId} (${operation.method} ${operation.path})`;
    const examples = bodyExamplesOf(operation);
    t.ok(examples.length > 0, `${name} has an example`);
    for (const example of examples)
      t.ok(
        ajv.validate({ ...schema, components: document.components }, example),
        `${name}: ${ajv.errorsText()} in ${JSON.stringify(example)}`,
      );
    seen += 1;
  }
  t.ok(seen >= 7, `${seen} bodies`);
});

t.test('every list has pages, and links to the next page', async (t) => {
  const lists = operationsOf(document).filter(
    ({ operationId, path }) => /^list[A-Z]/.test(operationId) && !FIRST_SYSTEM.test(path),
  );
  t.ok(lists.length >= 2);
  for (const operation of lists) {
    const name = `${operation.operationId} (${operation.method} ${operation.path})`;
    const query = new Map(operation.parameters.map((one) => [one.name, one]));
    t.match(query.get('limit'), { in: 'query', schema: { type: 'integer', minimum: 1 } }, name);
    t.match(query.get('cursor'), { in: 'query', schema: { type: 'string' } }, name);
    const { headers, content } = operation.responses['200'] ?? {};
    t.match(headers, { Link: { schema: { type: 'string' } } }, `${name} tells of the Link header`);
    const page = resolve(document, content?.['application/json']?.schema ?? {});
    t.match(page, { properties: { data: { type: 'array' }, next_cursor: {} } }, name);
    t.strictSame([...page.required].sort(), ['data', 'next_cursor'], name);
  }
});

t.test(
  'a body that is not required may be left out, with or without a content-type header',
  async (t) => {
    const optional = operationsOf(document).filter(
      ({ requestBody }) => requestBody !== undefined && requestBody.required !== true,
    );
    const names = optional.map(({ operationId }) => operationId);
    for (const known of [
      'enableSubscription',
      'pauseSubscription',
      'rotateSecret',
      'testSubscription',
    ])
      t.ok(names.includes(known), known);
    const json = { 'content-type': 'application/json' };
    for (const { operationId, method, path } of optional) {
      // Of nothing that there is, where the body's turn comes before that is known.
      const url = path.replaceAll(/\{\w+_id\}/g, '4711').replaceAll(/\{\w+\}/g, 'nobody');
      const [empty, bare, typed] = [
        await posthorn.request(method.toUpperCase(), url, {}, json),
        await posthorn.request(method.toUpperCase(), url),
        await posthorn.request(method.toUpperCase(), url, undefined, json),
      ];
      const answer = ({ status, json: said }: typeof empty) => [status, said?.detail, said?.errors];
      t.strictSame(answer(bare), answer(empty), `${operationId} without a type`);
      t.strictSame(answer(typed), answer(empty), `${operationId} with one`);
    }
  },
);

/** What methods are called in a client that is made from the document. */
const VERBS: Record<string, RegExp> = {
  get: /^(get|list|pull|ping$|healthz$|readyz$|metrics$)/,
  put: /^(update|put)/,
  patch: /^update/,
  delete: /^(delete|revoke)/,
  post: /^[a-z]+/,
};

t.test('operations have names that fit methods of a client', async (t) => {
  for (const { operationId, method, path } of operationsOf(document)) {
    const name = `${operationId} (${method} ${path})`;
    t.match(operationId, VERBS[method], name);
    t.match(operationId, /^[a-z]+([A-Z][a-z]+)*$/, `${name}: words, and no version`);
  }
});

t.test('an operation that works answers with one type, whatever its status', async (t) => {
  // Of several, generators take that of the lowest status. A range, such as 2XX, comes after them.
  for (const { operationId, responses } of operationsOf(document)) {
    const types = Object.keys(responses)
      .filter((status) => /^2\d\d$/.test(status))
      .map((status) => responses[status]?.content?.['application/json']?.schema);
    t.ok(types.length > 0, operationId);
    for (const type of types) t.strictSame(type, types[0], operationId);
  }
});

t.test('the document says that /ingest takes more than JSON', async (t) => {
  const ingest = operationsOf(document).find(({ operationId }) => operationId === 'ingest');
  const { content = {} } = ingest?.requestBody ?? {};
  // Generators take the first.
  t.strictSame(Object.keys(content), ['application/json', '*/*']);
  t.match(content['*/*'], { schema: { format: 'binary', description: /ingest_content_types/ } });
});

t.test('fields are in snake_case, and names of times end in at, until or since', async (t) => {
  let times = 0;
  for (const operation of operationsOf(document)) {
    const { operationId, parameters, requestBody, responses } = operation;
    const asked = parameters.filter((one) => one.in !== 'header');
    const fields = [
      ...asked.map(({ name, schema }) => [name, schema] as const),
      ...fieldsOf(requestBody),
      ...fieldsOf(responses),
    ];
    for (const [name, schema] of fields) {
      t.match(name, /^[a-z0-9]+(_[a-z0-9]+)*$/, `${operationId}: ${name}`);
      if (!isTime(schema)) continue;
      times += 1;
      t.ok(
        /(^|_)(at|until|since)$/.test(name) || OTHER_TIMES.has(name),
        `${operationId}: ${name} is a time`,
      );
    }
  }
  t.ok(times > 0);
});

/** The first system's word for an attempt's end. */
const OTHER_TIMES = new Set(['timestamp']);
/** What is not a schema, though it may look like one. */
const VALUES = new Set(['default', 'enum', 'const', 'example', 'examples']);

/** Every field of every schema in a part of the document. */
function* fieldsOf(node: unknown): Generator<readonly [string, Schema]> {
  if (typeof node !== 'object' || node === null) return;
  const { properties = {}, ...rest } = resolve(document, node);
  for (const [name, schema] of Object.entries<Schema>(properties)) {
    yield [name, schema];
    yield* fieldsOf(schema);
  }
  for (const [key, value] of Object.entries(rest)) if (!VALUES.has(key)) yield* fieldsOf(value);
}

function isTime({ format, anyOf = [] }: Schema): boolean {
  return [format, ...anyOf.map((one: Schema) => one.format)].includes('date-time');
}

t.test('no two names of the document become one type of a client', async (t) => {
  const { schemas, securitySchemes = {} } = document.components as Record<string, object>;
  // Generators for Go and others write all of them into one package, in PascalCase.
  const names = [...Object.keys(schemas ?? {}), ...Object.keys(securitySchemes)];
  const types = names.map((name) => name.replaceAll(/[^a-z0-9]/gi, '').toLowerCase());
  t.strictSame(
    types.filter((type, index) => types.indexOf(type) !== index),
    [],
  );
  t.ok(Object.keys(securitySchemes).length > 0 && types.length > 10);
});

t.test('nothing is filled in for parameters, and their examples are in words', async (t) => {
  const all = operationsOf(document).flatMap(({ operationId, parameters }) =>
    parameters.map((one) => ({ operationId, one })),
  );
  const named = (name: string) => all.filter(({ one }) => one.name === name);
  t.ok(named('limit').length > 2 && named('idempotency-key').length > 0);
  for (const { operationId, one } of all) {
    const values = { ...one, ...one.schema };
    for (const filled of ['example', 'examples', 'default'])
      t.notOk(filled in values, `${operationId} has no ${filled} for ${one.name}`);
  }
  // The description says in words which value is used without the parameter, and what an id looks like.
  for (const { one } of named('limit')) t.match(one, { description: /left out: 100\.$/ });
  const required = all.filter(({ one }) => one.required === true);
  t.ok(required.length > 10);
  for (const { operationId, one } of required)
    t.match(one, { description: /\. Example: `[^`]+`\.$/ }, `${operationId}: ${one.name}`);
});

t.test('the page begins with the routes of the first system and of subscriptions', async (t) => {
  const { text } = await posthorn.request('GET', '/api/docs/json');
  const { tags } = JSON.parse(text) as { tags: { name: string }[] };
  t.strictSame(tags.map(({ name }) => name).slice(0, 3), ['subscriptions', 'ingest', 'history']);
  for (const { name } of tags.slice(0, 3)) {
    const paths = operationsOf(document).filter(({ tags: [tag] }) => tag === name);
    t.match(paths[0]?.path, FIRST_SYSTEM, `${name} begins with the first system's`);
  }
});

t.test('the page has its own logo and icon', async (t) => {
  const page = await posthorn.request('GET', '/api/docs/');
  t.match(page.text, /rel="icon" type="image\/svg\+xml" href="[^"]+posthorn\.svg"/);
  const script = await posthorn.request('GET', '/api/docs/static/swagger-initializer.js');
  const [, logo = ''] = /data:image\/svg\+xml;base64,([^'"]+)/.exec(script.text) ?? [];
  t.match(Buffer.from(logo, 'base64').toString(), /aria-label="Posthorn"/);
});

/** The page shows the example of the 400 alone (src/api/plugins/docs-look.ts). */
t.test('all errors have one schema', async (t) => {
  const schemas = operationsOf(document).flatMap(({ operationId, responses }) => {
    t.ok('400' in responses, `${operationId} has an answer 400`);
    return Object.entries(responses)
      .filter(([status]) => status >= '400')
      .map(([, { content }]) => JSON.stringify(content));
  });
  t.equal(new Set(schemas).size, 1);
  t.ok(schemas.length > 400);
});
