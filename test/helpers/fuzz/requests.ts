import fc, { type Arbitrary } from 'fast-check';
import { bodyExamplesOf, bodySchemaOf, type Operation, type Parameter } from '../openapi.ts';
import {
  encode,
  ODD_BODIES,
  ODD_HEADERS,
  ODD_PARTS,
  ODD_TYPES,
  ODD_VALUES,
  spoiled,
} from './hostile.ts';
import type { Pool } from './pool.ts';
import type { createValues } from './values.ts';

/** A request as it is sent, without the framing of HTTP. */
export interface FuzzRequest {
  readonly method: string;
  /** With its query, as it stands on the request line. */
  readonly target: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

/** How a request relates to the document: valid, with a mistake or two, or hostile. */
const MOODS = { right: [1, 0, 0], mistaken: [4, 1, 0], hostile: [4, 1, 2] } as const;
type Mood = (typeof MOODS)[keyof typeof MOODS];

/** Requests for one operation. Most are right: others are refused before they get anywhere. */
export function requestsFor(
  operation: Operation,
  { valid }: ReturnType<typeof createValues>,
  pool: Pool,
  key: string,
): Arbitrary<FuzzRequest> {
  const of = (where: Parameter['in']) => operation.parameters.filter((one) => one.in === where);

  function withMood(mood: Mood): Arbitrary<FuzzRequest> {
    const path = fc.tuple(
      ...of('path').map(({ name, schema }) =>
        blend(mood, valid(schema, name).map(partOf), spoiledPart(valid(schema, name)), ODD_PARTS),
      ),
    );
    const query = fc.tuple(
      ...of('query').map(({ name, schema, required }) => {
        const good = valid(schema, name).map((value) => [`${name}=${partOf(value)}`]);
        const given = blend(
          mood,
          good,
          spoiledPart(valid(schema, name)).map((part) => [`${name}=${part}`]),
          fc.oneof(
            ODD_PARTS.map((part) => [`${name}=${part}`]),
            ODD_PARTS.map((part) => [`${name}=${part}`, `${name}=${part}`]),
            fc.constant([`${name}[]=1`]),
            fc.constant([name]),
          ),
        );
        return required
          ? given
          : fc.oneof(
              { weight: 2, arbitrary: fc.constant<string[]>([]) },
              { weight: 1, arbitrary: given },
            );
      }),
    );
    const more = blend(
      mood,
      fc.constant<string[]>([]),
      fc.constant(['not_known=1']),
      fc.oneof(
        ODD_PARTS.map((part) => [`${part}=${part}`]),
        ODD_PARTS.map((part) => [`__proto__=${part}&&=&%`]),
      ),
    );
    const headers = fc.tuple(
      ...of('header').map(({ name, schema, required }) => {
        const good = valid(schema, name).map((value) => [name, latin1(String(value))]);
        const given = blend(
          mood,
          good,
          ODD_HEADERS.map((value) => [name, value]),
          ODD_HEADERS.map((value) => [name, value]),
        );
        return required ? given : fc.option(given, { nil: null });
      }),
    );
    const credentials = blend(
      mood,
      fc.constant<string | null>(`Bearer ${key}`),
      fc.nat().map((at) => `Bearer ${pool.pick('key', at)}`),
      fc.oneof(
        fc.constant(null),
        ODD_HEADERS,
        ODD_HEADERS.map((value) => `Bearer ${value}`),
      ),
    );
    return fc
      .record({ path, query, more, headers, credentials, body: bodyWith(mood) })
      .map((parts) => {
        const names = of('path').map(({ name }) => name);
        const path = operation.path.replaceAll(
          /\{(\w+)\}/g,
          (_, name) => parts.path[names.indexOf(name)] as string,
        );
        const query = [...parts.query, parts.more].flat().join('&');
        return {
          method: operation.method.toUpperCase(),
          target: query === '' ? path : `${path}?${query}`,
          headers: {
            ...Object.fromEntries(parts.headers.filter((one) => one !== null)),
            ...(parts.credentials === null ? {} : { authorization: parts.credentials }),
            ...(parts.body === null ? {} : { 'content-type': parts.body.type }),
          },
          body: parts.body?.bytes ?? null,
        };
      });
  }

  function bodyWith(mood: Mood): Arbitrary<{ type: string; bytes: Buffer } | null> {
    const schema = bodySchemaOf(operation);
    const odd = fc.oneof(
      fc.record({
        type: fc.constant('application/json'),
        bytes: fc.oneof(ODD_BODIES, ODD_VALUES.map(bytesOf)),
      }),
      fc.record({ type: ODD_TYPES, bytes: fc.oneof(ODD_BODIES, fc.constant(Buffer.from('{}'))) }),
    );
    if (schema === undefined)
      return operation.method === 'get'
        ? fc.constant(null)
        : blend(mood, fc.constant(null), fc.constant(null), odd);
    // The document keeps the examples of a body beside its schema.
    const examples = bodyExamplesOf(operation).map((one) => at(String(pool.pick('url', 0)), one));
    const body = valid({ ...schema, examples });
    const json = (values: Arbitrary<unknown>) =>
      values.map((value) => ({ type: 'application/json', bytes: bytesOf(value) }));
    return blend(mood, json(body), json(spoiled(body)), fc.oneof(odd, fc.constant(null)));
  }

  return fc.oneof(
    { weight: 4, arbitrary: withMood(MOODS.right) },
    { weight: 3, arbitrary: withMood(MOODS.mistaken) },
    { weight: 3, arbitrary: withMood(MOODS.hostile) },
  );
}

function blend<T>(
  [right, mistaken, hostile]: Mood,
  ...[good, wrong, odd]: [Arbitrary<T>, Arbitrary<T>, Arbitrary<T>]
): Arbitrary<T> {
  return fc.oneof(
    { weight: right, arbitrary: good },
    { weight: mistaken, arbitrary: wrong },
    { weight: hostile, arbitrary: odd },
  );
}

/** A value as a part of a URL; an empty one would be another path. */
function partOf(value: unknown): string {
  const text = typeof value === 'object' ? JSON.stringify(value) : String(value);
  return encode(text) || '%20';
}

function spoiledPart(values: Arbitrary<unknown>): Arbitrary<string> {
  return spoiled(values).map(partOf);
}

/** An example that is delivered to a receiver of ours, and not to somebody out there. */
function at(url: string, example: unknown): unknown {
  return JSON.parse(JSON.stringify(example).replaceAll(/https:\/\/example\.com[^"]*/g, url));
}

function bytesOf(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value) ?? 'null');
}

function latin1(text: string): string {
  return text.replaceAll(/[^ -~\u00a0-\u00ff]/g, '?').trim();
}
