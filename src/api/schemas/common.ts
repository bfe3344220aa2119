import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';

/** The body of every error answer (RFC 9457). */
export const ProblemSchema = Type.Object(
  {
    type: Type.String({ description: 'The kind of problem; the same for the same kind.' }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({
      description: 'What was wrong with this request, and what would be right.',
    }),
    errors: Type.Optional(
      Type.Array(Type.Object({ field: Type.String(), message: Type.String() }), {
        description: 'The fields that are wrong.',
      }),
    ),
  },
  { title: 'Problem', description: 'A problem (RFC 9457)' },
);

const MEANINGS: Record<number, string> = {
  400: 'The request is not valid; `errors` names the fields.',
  401: 'The signature or the key is missing or wrong.',
  403: 'The key lacks the scope that is needed; or, where no key is needed, a web page of another site may have sent this.',
  404: 'There is no such thing.',
  408: 'The request took too long to arrive.',
  409: 'It cannot be done as things stand; `detail` says what stands in the way.',
  413: 'The body is larger than POSTHORN_MAX_BODY.',
  414: 'A part of the path is longer than any id is.',
  415: 'The content-type is not JSON.',
  417: 'The `Expect` header is not 100-continue.',
  422: 'The `Idempotency-Key` was used for another request in the last 24 hours.',
  429: 'Too many requests came within the time; try again after `Retry-After`.',
  431: 'The request line and the headers are too large.',
  500: 'Something went wrong on our side; the log says what.',
  503: 'The database cannot be used right now; try again after `Retry-After`. With the type `…:unavailable` nothing was done; with `…:outcome-unknown` it may have been.',
};

/** The error answers of a route, for its `response` schema: those of every route, and these. */
export function problems(...statuses: (keyof typeof MEANINGS)[]): Record<number, TSchema> {
  return Object.fromEntries(
    [...statuses, 500, 503].map((status) => [
      status,
      {
        description: MEANINGS[status],
        content: { 'application/problem+json': { schema: ProblemSchema } },
      } as unknown as TSchema,
    ]),
  );
}

export const SubscriptionId = Type.Integer({
  minimum: 1,
  maximum: 2_147_483_647,
  description: 'The id of a subscription.',
  examples: [1],
});
export const WebhookId = Type.String({
  format: 'uuid',
  description: 'A UUIDv7: it tells when the webhook came.',
});
export const TENANT_ID = '^[A-Za-z0-9_-][A-Za-z0-9_.-]*$';
export const TenantId = Type.String({
  maxLength: 64,
  pattern: TENANT_ID,
  description: 'Letters, digits, _, - and dots; your own name for it.',
  examples: ['acme'],
});
const TYPE_WORDS = '[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*';
export const EVENT_TYPE = `^${TYPE_WORDS}$`;
export const EVENT_TYPE_PATTERN = `^(\\*|${TYPE_WORDS}(\\.\\*)?)$`;

export const EventType = Type.String({
  maxLength: 128,
  pattern: EVENT_TYPE,
  description: 'Words of letters, digits, _ and - with dots between them.',
  examples: ['order.created'],
});
/** What can be sent: Posthorn keeps a first word for what it sends itself. */
export const SENT_EVENT_TYPE = `^(?!posthorn\\.)${TYPE_WORDS}$`;
export const SentEventType = Type.String({
  maxLength: 128,
  pattern: SENT_EVENT_TYPE,
  description:
    'Words of letters, digits, _ and - with dots between them. Those that begin with `posthorn.` are sent by Posthorn alone.',
  examples: ['order.created'],
});
/** What a subscription may list: a type, all that begin with it, or all. */
export const EventTypePattern = Type.String({
  maxLength: 130,
  pattern: EVENT_TYPE_PATTERN,
  examples: ['order.*'],
});

export const CHANNEL = '^[A-Za-z0-9_.:-]+$';
export const Channel = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: CHANNEL,
  description: 'Letters, digits, _ . : and -.',
  examples: ['project-42'],
});

export const Timestamp = Type.String({ format: 'date-time' });

export const SUBSCRIPTION_STATUSES = ['active', 'paused', 'disabled'] as const;
export const DELIVERY_STATES = ['pending', 'held', 'succeeded', 'failed', 'cancelled'] as const;
export const ATTEMPT_STATUSES = ['success', 'failed', 'timeout', 'blocked'] as const;

/** One of these strings, in a form that OpenAPI and Ajv both show as a plain enum. */
export function oneOf<const T extends readonly string[]>(values: T, description?: string) {
  return Type.Unsafe<T[number]>({
    type: 'string',
    enum: values,
    ...(description === undefined ? {} : { description }),
  });
}

/**
 * An object whose keys are the client's to choose, of which `propertyNames` says how they may be.
 * (Of the keys of a Record only a pattern is kept.)
 */
export function mapOf<T extends TSchema>(values: T, options: object) {
  return Type.Unsafe<Record<string, Static<T>>>({
    type: 'object',
    ...options,
    additionalProperties: values,
  });
}

/** A field that may be null, as OpenAPI 3.1 writes it. */
export function nullable<T extends TSchema>(schema: T) {
  return Type.Union([schema, Type.Null()]);
}

export const DeliveryReason = nullable(
  Type.String({
    description:
      'Why it ended without an attempt that says so: expired, it was held for as long as its retries would have taken; skipped, its subscription was enabled without its backlog.',
  }),
);
/**
 * An object that the document shows once, under that name, and refers to wherever it is used. Clients
 * that are made from the document get a type of that name.
 */
export function named<P extends TProperties>(name: string, properties: P): TObject<P> {
  return Type.Object(properties, { title: name });
}

/** A schema with what it means as an answer. */
export function described<T extends TSchema>(description: string, schema: T): T {
  return { ...schema, description };
}
