import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';
import {
  EVENT_TYPE_PATTERN,
  MAX_PATTERN_LENGTH,
  TYPE_WORDS,
} from '../../subscriptions/event-type-patterns.ts';

/** The body of every error answer (RFC 9457). */
const ProblemSchema = Type.Object(
  {
    type: Type.String({
      description: 'A URN that identifies the kind of problem; it never changes.',
    }),
    title: Type.String(),
    status: Type.Integer(),
    detail: Type.String({
      description: 'What is wrong with this request, and what would be right.',
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
  401: 'The key or the signature is missing or not valid.',
  403: 'The key lacks the required scope. Or no key is required, and a web page of another site may have sent the request.',
  404: 'The path, or something that the request names by its id, does not exist.',
  408: 'The request took too long to arrive.',
  409: 'The request conflicts with the current state; `detail` says why.',
  413: 'The body is larger than POSTHORN_MAX_BODY.',
  414: 'A part of the path is longer than any id.',
  415: 'The content-type is not application/json.',
  417: 'The `Expect` header is not 100-continue.',
  422: 'The `Idempotency-Key` was used for another request in the last 24 hours.',
  429: 'Too many requests; try again after the seconds in `Retry-After`.',
  431: 'The request line and the headers are too large.',
  500: 'An error inside the service; the log of the service has the cause.',
  503: 'The service cannot do this right now, usually because the database does not answer; try again after the seconds in `Retry-After`. With the type `…:unavailable` nothing was done, unless `detail` says what was; with `…:outcome-unknown` the request may have been carried out.',
};

/** Returns a route's error answers for its `response` schema: the given statuses, and the statuses of every route. */
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
  description:
    'The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.',
});
export const TENANT_ID = '^[A-Za-z0-9_-][A-Za-z0-9_.-]*$';
export const TenantId = Type.String({
  maxLength: 64,
  pattern: TENANT_ID,
  description: 'Your own id for the tenant: letters, digits, _, - and dots.',
  examples: ['acme'],
});
export const EVENT_TYPE = `^${TYPE_WORDS}$`;

export const EventType = Type.String({
  maxLength: 128,
  pattern: EVENT_TYPE,
  description: 'An event type: words of letters, digits, _ and - with dots between them.',
  examples: ['order.created'],
});
/** An event type that clients may send: the first word `posthorn` is kept for Posthorn's own webhooks. */
export const SENT_EVENT_TYPE = `^(?!posthorn\\.)${TYPE_WORDS}$`;
export const SentEventType = Type.String({
  maxLength: 128,
  pattern: SENT_EVENT_TYPE,
  description:
    'An event type: words of letters, digits, _ and - with dots between them. It must not begin with `posthorn.`, which is kept for webhooks of Posthorn itself.',
  examples: ['order.created'],
});
/** An element of a subscription's event_types: a type, a prefix such as `order.*`, or `*`. */
export const EventTypePattern = Type.String({
  maxLength: MAX_PATTERN_LENGTH,
  pattern: EVENT_TYPE_PATTERN,
  examples: ['order.*'],
});

export const CHANNEL = '^[A-Za-z0-9_.:-]+$';
export const Channel = Type.String({
  minLength: 1,
  maxLength: 128,
  pattern: CHANNEL,
  description: 'A channel: letters, digits, _ . : and -.',
  examples: ['project-42'],
});

/** A time in an answer: routes return a Date, which JSON.stringify writes as a string. */
export const Timestamp = Type.Unsafe<Date>({ type: 'string', format: 'date-time' });
/** A time in a request: a string that `new Date` reads. */
export const RequestTimestamp = Type.String({ format: 'date-time' });

/** Reads a time that a request may leave out. */
export function toDate(text: string | undefined): Date | undefined {
  return text === undefined ? undefined : new Date(text);
}

export const SUBSCRIPTION_STATUSES = ['active', 'paused', 'disabled'] as const;
export const DELIVERY_STATES = ['pending', 'held', 'succeeded', 'failed', 'cancelled'] as const;
export const ATTEMPT_STATUSES = ['success', 'failed', 'timeout', 'blocked'] as const;

/** An enum of strings, in a form that OpenAPI and Ajv both show as a plain enum. */
export function oneOf<const T extends readonly string[]>(values: T, description?: string) {
  return Type.Unsafe<T[number]>({
    type: 'string',
    enum: values,
    ...(description === undefined ? {} : { description }),
  });
}

/**
 * An object whose keys the client chooses, within the limits of `propertyNames`. (TypeBox's Record would
 * keep only a pattern of the keys.)
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
      'Why the delivery ended, if no attempt says so. expired: it was held for longer than its retry schedule lasts. skipped: its subscription was enabled with `backlog` skip.',
  }),
);
/**
 * An object that the OpenAPI document contains once, under this name, and refers to elsewhere. Clients
 * generated from the document get one type of this name.
 */
export function named<P extends TProperties>(name: string, properties: P): TObject<P> {
  return Type.Object(properties, { title: name });
}

/** A schema with the description of the answer that it is for. */
export function described<T extends TSchema>(description: string, schema: T): T {
  return { ...schema, description };
}
