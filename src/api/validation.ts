import { Ajv, type ErrorObject, type Options, type ValidateFunction } from 'ajv';
import formats from 'ajv-formats';
import type { FastifySchemaCompiler, FastifySchemaValidationError } from 'fastify';
import { type FieldProblem, invalidRequest } from './problems.ts';
import {
  CHANNEL,
  EVENT_TYPE,
  EVENT_TYPE_PATTERN,
  SENT_EVENT_TYPE,
  TENANT_ID,
} from './schemas/common.ts';
import { DELIVERY_ID } from './schemas/history.ts';
import { findUnstorable } from './storable.ts';

const addFormats = formats as unknown as typeof formats.default;

const options = {
  allErrors: true,
  // For the names of the fields that are known.
  verbose: true,
  removeAdditional: false,
  useDefaults: true,
  keywords: ['example'],
};
const ajv = createAjv(options);

/** Ajv with the formats of ajv-formats, without what of them Postgres or Date does not take. */
function createAjv(given: Options): Ajv {
  const ajv = addFormats(new Ajv(given));
  // Not `urn:uuid:…`.
  ajv.addFormat('uuid', /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i);
  const isDateTime = ajv.formats['date-time'] as { validate: (text: string) => boolean };
  ajv.addFormat('date-time', (text) => {
    // Not the leap second 23:59:60.
    return isDateTime.validate(text) && !Number.isNaN(Date.parse(text));
  });
  return ajv;
}

/** Compiles the schemas of requests. Unknown fields are refused, never dropped in silence. */
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

/** A function that finds what is wrong with a part of a request, or null. */
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

/** A JSON Pointer as fields are written, none of its names longer than anybody reads. */
function fieldAt(part: string, pointer: string): string {
  const names = pointer.split('/').slice(1);
  return [part, ...names.map((name) => name.replaceAll('~1', '/').replaceAll('~0', '~'))]
    .map((name) => name.slice(0, MAX_NAME_LENGTH))
    .join('.');
}

/** At its first use: to compile the schemas of all routes is half of what a start costs. */
function compileLate(schema: object): () => ValidateFunction {
  let compiled: ValidateFunction | undefined;
  return () => {
    compiled ??= ajv.compile(schema);
    return compiled;
  };
}

/** How an integer is written in a URL, where all is text. Number() reads `0x1`, `1e0` and ` ` too. */
const INTEGER = /^\d{1,15}$/;

function integersOf({ properties = {} }: { properties?: Record<string, { type?: unknown }> }) {
  return Object.keys(properties).filter((name) => properties[name]?.type === 'integer');
}

/**
 * A check for bodies that are parsed by hand.
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

/** Nobody mends more at once, and the answer to a thousand unknown fields stays small. */
const MAX_EXPLAINED = 20;
const MAX_NAME_LENGTH = 100;

/** Ajv's findings, the first of them, in words for the person who wrote the request. */
export function explainValidation(errors: readonly ErrorObject[], part: string): FieldProblem[] {
  // What is wrong with a name is told by the error that comes with this one.
  const told = errors.filter(({ keyword }) => keyword !== 'propertyNames');
  return told.slice(0, MAX_EXPLAINED).map((error) => {
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
          message: `is not known here${known.length > 0 ? `; known are ${known.join(', ')}` : ''}`,
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
        return { field: within, message: 'has nothing to change' };
      default:
        return { field: within, message: error.message ?? 'is not valid' };
    }
  });
}

const PATTERNS: Record<string, string> = {
  [TENANT_ID]: 'must be letters, digits, _, - and dots, and not begin with a dot',
  [EVENT_TYPE]:
    'must be an event type: words of letters, digits, _ and - with dots between them, such as order.created',
  [SENT_EVENT_TYPE]:
    'must be an event type: words of letters, digits, _ and - with dots between them, such as order.created; those that begin with posthorn. are sent by Posthorn alone',
  [DELIVERY_ID]:
    'must be a delivery: the id of a webhook, a dot and the id of a subscription, such as 01890a5d-ac96-774b-bcce-b302099a8057.1',
  [CHANNEL]: 'must be a channel: letters, digits, _ . : and -',
  [EVENT_TYPE_PATTERN]:
    'must be an event type such as order.created, a prefix such as order.*, or *',
};

const FORMATS: Record<string, string> = {
  uuid: 'a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057',
  'date-time': 'a time such as 2026-01-31T12:00:00Z',
  uri: 'an absolute URL',
};
