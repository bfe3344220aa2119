// Reads the bodies of requests, and explains to clients why a webhook was not accepted.
import { isUtf8 } from 'node:buffer';
import type { FastifyContextConfig, FastifyInstance, FastifyRequest } from 'fastify';
import type { Refusal } from '../intake/accept.sql.ts';
import {
  IntakeRefusedError,
  IntakeUnavailableError,
  IntakeUnknownError,
} from '../intake/errors.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { readContentHeaders } from './content-headers.ts';
import { invalidField, outcomeUnknown, Problem, tenantMoves, unavailable } from './problems.ts';
import { readBody } from './read-body.ts';

/** JSON, and media types based on it, such as application/cloudevents+json. */
const JSON_TYPE = /^application\/(?:[\w.+-]+\+)?json\s*(?:;|$)/i;

type TakesBodies = Pick<
  FastifyInstance,
  'addHook' | 'removeAllContentTypeParsers' | 'addContentTypeParser'
>;

/**
 * Makes the app accept JSON bodies only. fastify's own parser would replace bytes that are not UTF-8.
 * A body without required fields may be left out, and is then `{}`.
 */
export function takeJson(app: TakesBodies): void {
  app.addHook('onRoute', (route) => {
    if (!requiresNothing(route.schema?.body)) return;
    route.preValidation = [
      async (request: FastifyRequest) => {
        // Only for a body that is left out: null is a body.
        if (request.body === undefined) request.body = {};
      },
      ...[route.preValidation ?? []].flat(),
    ];
  });
  readContentHeaders(app);
  app.removeAllContentTypeParsers();
  app.addContentTypeParser(
    JSON_TYPE,
    async (request: FastifyRequest, payload: NodeJS.ReadableStream) => {
      const body = await readBody(request, payload);
      // Some clients send a content-type even without a body.
      const expected = request.routeOptions.schema?.body;
      if (body.length === 0 && (expected === undefined || requiresNothing(expected)))
        return undefined;
      return parseJsonBody(body).value;
    },
  );
}

/** Returns true if a body's schema is an object without required fields, so that the body may be left out. */
export function requiresNothing(body: unknown): boolean {
  const { type, required, minProperties } = (body ?? {}) as {
    type?: unknown;
    required?: readonly string[];
    minProperties?: number;
  };
  return type === 'object' && (required ?? []).length === 0 && minProperties === undefined;
}

/** Makes this scope accept JSON bodies only, and leaves them as bytes. */
export function takeRawJson(app: TakesBodies): void {
  keepBytes(app);
  app.addContentTypeParser(JSON_TYPE, readBody);
}

/** Makes this scope accept bodies of any content type, or of none, and leaves them as bytes. */
export function takeBytes(app: TakesBodies): void {
  keepBytes(app);
  // The frequent types by name too: fastify finds a named parser in a cache, and parses the type for `*` each time.
  app.addContentTypeParser(JSON_TYPE, readBody);
  app.addContentTypeParser('*', readBody);
}

function keepBytes(app: TakesBodies): void {
  app.addHook('onRoute', (route) => {
    route.config = { ...route.config, keepsBytes: true } as FastifyContextConfig;
  });
  app.removeAllContentTypeParsers();
}

/** Returns true for the content type of JSON, or of a type based on it. */
export function isJsonType(contentType: string): boolean {
  return JSON_TYPE.test(contentType);
}

/**
 * Returns a request's body as text.
 *
 * @throws Problem (400) that says why they cannot be JSON.
 */
export function textOfBody(body: Buffer | undefined): string {
  if (body === undefined || body.length === 0)
    throw new Problem('invalid-json', 'The body is empty; send JSON.');
  // JSON begins with a character of ASCII that is no control character but white space.
  const isWrong = (body[0] as number) > 0x7e || body[0] === GZIP[0];
  const wrongStart = isWrong
    ? WRONG_STARTS.find(({ bytes }) => body.subarray(0, bytes.length).equals(bytes))
    : undefined;
  if (wrongStart !== undefined) throw new Problem('invalid-json', `The body ${wrongStart.says}.`);
  if (!isUtf8(body))
    throw new Problem('invalid-json', 'The body is not UTF-8; JSON must be encoded as UTF-8.');
  return body.toString('utf8');
}

const GZIP = Buffer.from([0x1f, 0x8b]);

/** The first bytes of bodies that clients take for JSON, and that JSON.parse refuses without naming the cause. */
const WRONG_STARTS = [
  {
    bytes: Buffer.from([0xef, 0xbb, 0xbf]),
    says: 'begins with a byte order mark (BOM, the bytes EF BB BF), which JSON must not have; send it without (RFC 8259, 8.1)',
  },
  ...[
    [0xff, 0xfe],
    [0xfe, 0xff],
  ].map((bytes) => ({
    bytes: Buffer.from(bytes),
    says: 'begins with the byte order mark (BOM) of UTF-16; JSON must be encoded as UTF-8, without such a mark',
  })),
  {
    bytes: GZIP,
    says: 'is compressed by gzip; send it without compression',
  },
];

/**
 * Parses the bytes of a request's body.
 *
 * @throws Problem (400) that says why they are not JSON.
 */
export function parseJsonBody(body: Buffer | undefined): { text: string; value: unknown } {
  const text = textOfBody(body);
  try {
    return { text, value: JSON.parse(text) };
  } catch (error) {
    throw notJson((error as Error).message);
  }
}

/** A 400 for a body that JSON.parse does not take, with its reason. */
export function notJson(reason: string): Problem {
  return new Problem('invalid-json', `The body is not valid JSON: ${reason}.`);
}

/**
 * Writes a value as compact JSON. JSON.parse takes any depth, and JSON.stringify does not.
 *
 * @throws Problem (400) naming the field that is nested too deeply.
 */
export function compactJson(value: unknown, field: string): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField(field, 'is nested too deeply to be written; nest it less deeply');
  }
}

/** Makes an error of intake a Problem that says whether the webhook was accepted and what to do. */
export function explainRefusal(error: unknown, metrics: Metrics): unknown {
  if (error instanceof IntakeRefusedError) return REFUSALS[error.reason]();
  if (error instanceof IntakeUnknownError) {
    metrics.refused.inc();
    return outcomeUnknown(
      `${error.message}. The webhook may have been accepted, and will then be delivered. If you send it again, it may be delivered twice, with two ids. To make this safe, POST it to /v1/webhooks with an Idempotency-Key that is the same each time: then it is accepted once.`,
      error.cause,
    );
  }
  if (!(error instanceof IntakeUnavailableError)) return error;
  metrics.refused.inc();
  return unavailable(`${error.message}. Nothing was accepted; send it again.`, error.cause);
}

const REFUSALS: Record<Refusal, () => Problem> = {
  in_flight: () =>
    new Problem(
      'request-in-progress',
      'A request with this Idempotency-Key is in progress. Send it again in a moment to get the answer of that request.',
      { headers: { 'retry-after': '1' } },
    ),
  reused: () =>
    new Problem(
      'idempotency-key-reused',
      'This Idempotency-Key was used for another request (another path or body) in the last 24 hours. Send a new request with a new key.',
    ),
  closed: tenantMoves,
  fan_out: () =>
    new Problem(
      'conflict',
      'More than 100,000 subscriptions match this webhook, counted before their filters. Nothing was accepted. Give the subscriptions different channels or event types, and send one webhook for each of these (docs/sending.md).',
    ),
  filters_cost: () =>
    new Problem(
      'too-large',
      'The filters of the subscriptions for this event type would take too long on this data: the elements of the data times the steps of the filters may be at most 4 Mi, and 16 Mi for a batch. Send smaller data, or use fewer or shorter filters (docs/filters.md).',
    ),
};
