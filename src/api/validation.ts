import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify';
import { EVENT_TYPE_PATTERN } from '../subscriptions/event-type-patterns.ts';
import { type FieldProblem, invalidRequest } from './problems.ts';
import { CHANNEL, EVENT_TYPE, SENT_EVENT_TYPE, TENANT_ID } from './schemas/common.ts';
import { DELIVERY_ID } from './schemas/history.ts';
import { findUnstorable } from './storable.ts';

const addFormats = formats as unknown as typeof formats.default;

const options = {
  allErrors: true,
  // Puts the schema into errors, so that a message can list the known fields.
  verbose: true,
  removeAdditional: false,
  useDefaults: true,
  keywords: ['example'],
};
const ajv = createAjv(options);

/** Creates an Ajv with the formats of ajv-formats, except for values that Postgres or Date refuses. */
function createAjv(given: Options): Ajv {
  const ajv = addFormats(new Ajv(given));
  // ajv-formats allows `urn:uuid:…` too.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  const isDateTime = ajv.formats['date-time'] as { validate: (text: string) => boolean };
  ajv.addFormat('date-time', (text) => {
    // ajv-formats allows the leap second 23:59:60 too.
    return isDateTime.validate(text) && !Number.isNaN(Date.parse(text));
  });
  return ajv;
}

/** Compiles the schemas of requests. Unknown fields are refused, never silently dropped. */
export const validatorCompiler: FastifySchemaCompiler<object> = ({ schema, httpPart }) => {
  const judge = createJudge(schema);
  const integers = httpPart === 'body' ? [] : integersOf(schema);
  return (part: Record<string, unknown>) => {
    for (const name of integers) {
      const text = part[name];
      if (typeof text === 'string' && INTEGER.test(text)) part[name] = Number(text);
    }
    const errors = judge(part);
    return errors === null || { error: errors as FastifySchemaValidationError[] };
  };
};

/** For routes that check their bodies themselves: everything but the body is checked. */
export const validatorOfAllButBody: FastifySchemaCompiler<object> = (route) =>
  route.httpPart === 'body' ? () => true : validatorCompiler(route);

/** Returns a function that returns the errors in a part of a request, or null. */
function createJudge(schema: object): (part: unknown) => Partial<ErrorObject>[] | null {
  const check = compileLate(schema);
  return (part) => {
    const unstorable = findUnstorable(part, schema);
    if (unstorable !== null) {
      const { path, message } = unstorable;
      return [{ keyword: 'storable', instancePath: pointerTo(path), params: {}, message }];
    }
    const fits = check();
    return fits(part) ? null : (fits.errors ?? []);
  };
}

/** A JSON Pointer (RFC 6901), as Ajv writes them. */
function pointerTo(path: readonly string[]): string {
  return path.map((name) => `/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`).join('');
}

/** Writes a JSON Pointer as a field, such as `body.url`, with long names cut off. */
function fieldAt(part: string, pointer: string): string {
  const names = pointer.split('/').slice(1);
  return [part, ...names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))]
    .map((name) => name.slice(0, MAX_NAME_LENGTH))
    .join('.');
}

/** Compiles a schema at its first use: compiling the schemas of all routes would be half of a start's time. */
function compileLate(schema: object): () => ValidateFunction {
  let compiled: ValidateFunction | undefined;
  return () => {
    compiled ??= ajv.compile(schema);
    return compiled;
  };
}

/** An integer as text in a URL. Number() would accept `0x1`, `1e0` and ` ` too. */
const INTEGER = /^\d{1,15}$/;

function integersOf({ properties = {} }: { properties?: Record<string, { type?: unknown }> }) {
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

/**
 * Creates a check for bodies that a route parses itself.
 *
 * @returns a function that throws a Problem (400) naming the fields of a body that does not fit.
 */
export function createBodyCheck(schema: object): (body: unknown) => void {
  const judge = createJudge(schema);
  return (body) => {
    const errors = judge(body);
    if (errors !== null) throw invalidRequest(explainValidation(errors as ErrorObject[], 'body'));
  };
}

/** The most errors in one answer, so that the answer to a thousand unknown fields stays small. */
const MAX_EXPLAINED = 20;
const MAX_NAME_LENGTH = 100;

/** Explains the first of Ajv's errors to the author of the request. */
export function explainValidation(errors: readonly ErrorObject[], part: string): FieldProblem[] {
  // Each error about `propertyNames` comes with another error, which says what is wrong with the name.
  const explained = errors.filter(({ keyword }) => keyword !== 'propertyNames');
  return explained.slice(0, MAX_EXPLAINED).map((error) => {
    const within = fieldAt(part, error.instancePath);
    const { params, propertyName } = error;
    if (propertyName !== undefined)
      return {
        field: `${within}.${propertyName.slice(0, MAX_NAME_LENGTH)}`,
        message: `has a name that ${error.message}`,
      };
    switch (error.keyword) {
      case 'required':
        return { field: `${within}.${params.missingProperty}`, message: 'is missing' };
      case 'additionalProperties': {
        const known = Object.keys(
          (error.parentSchema as { properties?: object })?.properties ?? {},
        );
        return {
          field: `${within}.${params.additionalProperty.slice(0, MAX_NAME_LENGTH)}`,
          message: `is not known here${known.length > 0 ? `; known fields are ${known.join(', ')}` : ''}`,
        };
      }
      case 'type':
        return { field: within, message: `must be of type ${[params.type].flat().join(' or ')}` };
      case 'enum':
        return { field: within, message: `must be one of ${params.allowedValues.join(', ')}` };
      case 'format':
        return {
          field: within,
          message: `must be ${FORMATS[params.format] ?? `a ${params.format}`}`,
        };
      case 'pattern':
        return {
          field: within,
          message: PATTERNS[params.pattern] ?? `must match ${params.pattern}`,
        };
      case 'minProperties':
        return { field: within, message: 'has no field to change; give at least one' };
      default:
        return { field: within, message: error.message ?? 'is not valid' };
    }
  });
}

const PATTERNS: Record<string, string> = {
  [TENANT_ID]: 'must consist of letters, digits, _, - and dots, and must not begin with a dot',
  [EVENT_TYPE]:
    'must be an event type: words of letters, digits, _ and - with dots between them, such as order.created',
  [SENT_EVENT_TYPE]:
    'must be an event type: words of letters, digits, _ and - with dots between them, such as order.created; it must not begin with posthorn., which is kept for webhooks of Posthorn itself',
  [DELIVERY_ID]:
    'must be the id of a delivery: the id of a webhook, a dot and the id of a subscription, such as 01890a5d-ac96-774b-bcce-b302099a8057.1',
  [CHANNEL]: 'must be a channel: letters, digits, _ . : and -',
  [EVENT_TYPE_PATTERN]:
    'must be an event type such as order.created, a prefix such as order.*, or *',
};

const FORMATS: Record<string, string> = {
  uuid: 'a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057',
  'date-time': 'a time such as 2026-01-31T12:00:00Z',
  uri: 'an absolute URL',
};
