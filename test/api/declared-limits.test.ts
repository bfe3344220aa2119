// What the document declares of requests is enforced, for every operation that there is or will be.
import t, { type Test } from 'tap';
import {
  bodyExamplesOf,
  bodySchemaOf,
  type OpenApi,
  type Operation,
  operationsOf,
  readDocument,
  resolve,
  type Schema,
} from '../helpers/openapi.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

/** A value that breaks what is declared, and the place that the answer must name. */
interface Breach {
  readonly what: string;
  readonly path: readonly string[];
  readonly value: unknown;
  /** The place in the answer, where it is not the path. */
  readonly field?: readonly string[];
}

const UNSTORABLE = ['a\u0000b', '\ud800', '\udc00\ud800'];
const DEEP = `${'['.repeat(30_000)}${']'.repeat(30_000)}`;

/** Without the null that many may be. */
function known(document: OpenApi, schema: Schema): Schema {
  return resolve(document, resolve(document, schema).anyOf?.[0] ?? schema);
}

function* breachesOf(document: OpenApi, given: Schema, path: string[]): Generator<Breach> {
  const schema = known(document, given);
  const breach = (what: string, value: unknown, field?: string[]): Breach => ({
    what,
    path,
    value,
    ...(field === undefined ? {} : { field }),
  });
  if (schema.type === 'string' && schema.enum === undefined) {
    for (const text of UNSTORABLE) yield breach('text that cannot be stored', text);
    if (schema.maxLength !== undefined) yield breach('too long', 'x'.repeat(schema.maxLength + 1));
    if (schema.minLength > 0) yield breach('empty', '');
  }
  if (schema.type === 'integer') {
    if (schema.minimum !== undefined) yield breach('too small', schema.minimum - 1);
    if (schema.maximum !== undefined) yield breach('too large', schema.maximum + 1);
  }
  if (schema.type === 'array') {
    if (schema.maxItems !== undefined)
      yield breach('too many', new Array(schema.maxItems + 1).fill('x'));
    if (schema.minItems > 0) yield breach('too few', []);
    yield* breachesOf(document, schema.items ?? {}, [...path, '0']);
  }
  if (schema.type !== 'object') return;
  const values = schema.additionalProperties;
  if (values === false) yield breach('not known', { not_known: 1 }, [...path, 'not_known']);
  if (typeof values === 'object') {
    for (const name of UNSTORABLE)
      yield breach('a name that cannot be stored', { [name]: 'x' }, [...path, name]);
    const { maxLength, minLength = 0 } = schema.propertyNames ?? {};
    if (maxLength !== undefined) {
      const name = 'k'.repeat(maxLength + 1);
      yield breach('too long a name', { [name]: 'x' }, [...path, name]);
      const endless = 'k'.repeat(900_000);
      yield breach('a name without end', { [endless]: 'x' }, [...path, endless]);
    }
    if (minLength > 0) yield breach('an empty name', { '': 'x' }, [...path, '']);
    if (schema.maxProperties !== undefined)
      yield breach(
        'too many names',
        Object.fromEntries(
          Array.from({ length: schema.maxProperties + 1 }, (_, n) => [`k${n}`, 'x']),
        ),
      );
    yield* breachesOf(document, values, [...path, 'a']);
  }
  for (const [name, child] of Object.entries<Schema>(schema.properties ?? {}))
    yield* breachesOf(document, child, [...path, name]);
}

/** A value in its place in an example. */
function put(example: unknown, [name, ...rest]: readonly string[], value: unknown): unknown {
  if (name === undefined)
    return isObject(example) && isObject(value) ? { ...example, ...value } : value;
  if (name === '0' && !isObject(example)) {
    const [first, ...others] = Array.isArray(example) ? example : [];
    return [put(first, rest, value), ...others];
  }
  const parent = isObject(example) ? example : {};
  return { ...parent, [name]: put(parent[name], rest, value) };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** As the answer writes a place. */
function fieldOf(path: readonly string[]): string {
  return ['body', ...path.map((name) => name.slice(0, 100).toWellFormed())].join('.');
}

const NO_WEBHOOK = '01890a5d-ac96-774b-bcce-b302099a8057';
const nowhere = ({ path }: Operation) =>
  path.replaceAll(/\{(\w+)\}/g, (_, name) => (name === 'webhook_id' ? NO_WEBHOOK : '77001'));

/** The operations whose bodies are judged by a schema; /ingest takes any JSON. */
async function withBodies(t: Test, posthorn: TestService) {
  const document = await readDocument(posthorn);
  const operations = operationsOf(document).flatMap((operation) => {
    const schema = bodySchemaOf(operation);
    return schema === undefined || schema.type === undefined ? [] : [{ operation, schema }];
  });
  t.ok(operations.length >= 15);
  return { document, operations };
}

t.test('every limit of a body is enforced, and the answer names the place', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '4MiB' });
  const { document, operations } = await withBodies(t, posthorn);
  for (const { operation, schema } of operations) {
    const [example] = bodyExamplesOf(operation);
    const method = operation.method.toUpperCase();
    for (const { what, path, value, field = path } of breachesOf(document, schema, [])) {
      const { status, json, text } = await posthorn.request(
        method,
        nowhere(operation),
        JSON.stringify(put(example, path, value)),
      );
      const name = `${method} ${operation.path}: ${what} at ${fieldOf(field)}`;
      t.equal(status, 400, `${name}: ${text.slice(0, 300)}`);
      const fields = (json?.errors ?? []).map((error: { field: string }) => error.field);
      t.ok(
        fields.some((told: string) => told.toWellFormed().startsWith(fieldOf(field))),
        `${name}: ${fields}`,
      );
      t.ok(text.length < 10_000, name);
    }
  }
});

t.test('a body that is not an object, or is nested too deep, gets a 400', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_MAX_BODY: '4MiB' });
  const { document, operations } = await withBodies(t, posthorn);
  for (const { operation, schema } of operations) {
    const method = operation.method.toUpperCase();
    const at = nowhere(operation);
    const [example] = bodyExamplesOf(operation);
    for (const body of ['null', '[]', '"x"', '1', 'true', DEEP]) {
      const { status, text } = await posthorn.request(method, at, body);
      t.equal(status, 400, `${method} ${operation.path} ${body.slice(0, 20)}: ${text}`);
    }
    for (const name of [...Object.keys(known(document, schema).properties ?? {}), 'not_known']) {
      const placed = JSON.stringify(put(example, [name], 'HERE'));
      const body = placed.replace('"HERE"', `{"a":${DEEP}}`);
      const { status, headers, text } = await posthorn.request(method, at, body);
      const what = `${method} ${operation.path}: no bottom in ${name}`;
      t.ok(status < 500, `${what}: ${status} ${text.slice(0, 300)}`);
      t.match(headers.get('content-type'), /json/, what);
    }
  }
});

t.test('every limit of a query and of a path is enforced', async (t) => {
  const posthorn = await startTestService(t);
  const document = await readDocument(posthorn);
  for (const operation of operationsOf(document)) {
    const method = operation.method.toUpperCase();
    const [example] = bodyExamplesOf(operation);
    for (const { name, in: where, schema } of operation.parameters) {
      if (where === 'header') continue;
      for (const { what, value } of breachesOf(document, schema, [])) {
        const text = String(value);
        if (!text.isWellFormed() || (where === 'path' && text === '')) continue;
        const part = encodeURIComponent(text);
        const path = operation.path.replace(`{${name}}`, where === 'path' ? part : '');
        const at = nowhere({ ...operation, path });
        const {
          status,
          json,
          text: answer,
        } = await posthorn.request(
          method,
          where === 'path' ? at : `${at}?${name}=${part}`,
          example,
        );
        const title = `${method} ${operation.path}: ${what} ${where}.${name}`;
        // A tenant that cannot be is not there, and the router knows how long a part may be.
        t.ok([400, 404, 414].includes(status), `${title}: ${status} ${answer}`);
        // Other parts of the path may be wrong too.
        const named = (json?.errors ?? []).map(({ field }: { field: string }) => field);
        if (status === 400) t.ok(named.includes(`${where}.${name}`), `${title}: ${answer}`);
      }
    }
  }
});
