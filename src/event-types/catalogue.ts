import { isObject } from '../lib/objects.ts';

/** An event type as the catalogue describes it. */
export interface CataloguedType {
  readonly name: string;
  readonly description: string | null;
  /** JSON Schema, draft 2020-12, of the data. */
  readonly schema: object | null;
  readonly example: unknown;
}

/** Keywords whose values are data, not schemas. */
const VALUES = new Set(['const', 'enum', 'default', 'examples', 'example']);
/** Keywords whose values are schemas by names, which may be names of keywords too. */
const BY_NAME = new Set([
  'properties',
  'patternProperties',
  '$defs',
  'definitions',
  'dependentSchemas',
]);

/** Header parameters of every webhook, with what a receiver does with them. */
const HEADERS = {
  'webhook-id':
    'The id of the webhook. It is the same for every attempt: receivers detect duplicates by it.',
  'webhook-timestamp':
    'The time of this attempt, in seconds since 1970. Refuse requests that are older than five minutes.',
  'webhook-signature':
    'Signatures of `{webhook-id}.{webhook-timestamp}.{body}`, separated by spaces: `v1,` and the base64 HMAC-SHA256, or `v1a,` and the base64 Ed25519 signature (Standard Webhooks 1.0.0). Accept the request if one is right.',
} as const;

/**
 * Describes event types as an OpenAPI 3.1 document with `webhooks`: for each, its body, with the schema and the example
 * of its data, and the headers of its signature. `POST /v1/event-types/import` reads such a document.
 */
export function describeCatalogue(types: readonly CataloguedType[]): Record<string, unknown> {
  const schemas = types.flatMap(({ name, schema }) =>
    schema === null ? [] : [[name, relocated(schema, `#/components/schemas/${name}`)]],
  );
  return {
    openapi: '3.1.0',
    info: {
      title: 'Webhooks',
      version: '1',
      description: 'The webhooks that receivers can get. Each is a POST with a JSON body.',
    },
    webhooks: Object.fromEntries(types.map((type) => [type.name, describeWebhook(type)])),
    components: {
      parameters: Object.fromEntries(
        Object.entries(HEADERS).map(([name, description]) => [
          name,
          {
            name,
            in: 'header',
            required: name !== 'webhook-signature',
            description,
            schema: { type: 'string' },
          },
        ]),
      ),
      schemas: Object.fromEntries(schemas),
    },
  };
}

function describeWebhook({ name, description, schema, example }: CataloguedType): object {
  const body = {
    type: 'object',
    required: ['type', 'timestamp', 'data'],
    properties: {
      type: { const: name },
      timestamp: {
        type: 'string',
        format: 'date-time',
        description: 'When the webhook was accepted.',
      },
      data: schema === null ? {} : { $ref: `#/components/schemas/${name}` },
    },
  };
  const examples = { type: name, timestamp: '2026-01-01T12:00:00.000Z', data: example };
  return {
    post: {
      summary: name,
      ...(description === null ? {} : { description }),
      parameters: Object.keys(HEADERS).map((header) => ({
        $ref: `#/components/parameters/${header}`,
      })),
      requestBody: {
        required: true,
        content: {
          'application/json': { schema: body, ...(example === null ? {} : { example: examples }) },
        },
      },
      responses: {
        '2XX': {
          description: 'The webhook was received. After any other answer it is sent again later.',
        },
        '410': {
          description:
            'The receiver wants no further webhooks. Nothing is sent to it until it is enabled again.',
        },
      },
    },
  };
}

/** Returns a schema whose references to itself lead to the place where it now is. */
function relocated(schema: unknown, place: string): unknown {
  if (Array.isArray(schema)) return schema.map((item) => relocated(item, place));
  if (!isObject(schema)) return schema;
  // With an id, references are relative to the schema wherever it is.
  if (typeof schema.$id === 'string') return schema;
  return Object.fromEntries(
    Object.entries(schema).map(([key, value]) => {
      if (VALUES.has(key)) return [key, value];
      if (BY_NAME.has(key) && isObject(value))
        return [
          key,
          Object.fromEntries(
            Object.entries(value).map(([name, one]) => [name, relocated(one, place)]),
          ),
        ];
      if ((key === '$ref' || key === '$dynamicRef') && typeof value === 'string')
        return [key, /^#(?:\/|$)/.test(value) ? place + value.slice(1) : value];
      return [key, relocated(value, place)];
    }),
  );
}
