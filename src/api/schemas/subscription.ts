import { Type } from 'typebox';
import { VERIFY_SCHEMES } from '../../signing/verify/schemes.ts';
import { MAX_FORWARDED } from '../../subscriptions/ingest.ts';
import { FORMATS } from '../../subscriptions/notices.ts';
import { MAX_HEADERS } from '../../subscriptions/policy.ts';
import {
  Channel,
  EventTypePattern,
  mapOf,
  named,
  nullable,
  oneOf,
  SUBSCRIPTION_STATUSES,
  SubscriptionId,
  Timestamp,
} from './common.ts';

export const Url = Type.String({
  minLength: 1,
  maxLength: 2048,
  description:
    'The URL to which webhooks are delivered: http or https, without a user name or password, at a public address. For notices to people also `mailto:` and an address, if there is a mail server; that needs a key with the scope `admin`.',
  examples: ['https://example.com/webhooks'],
});

/** The URL in answers, and in requests that create a subscription. */
export const UrlOrPull = nullable({
  ...Url,
  description:
    'The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull.',
});
export const Format = oneOf(
  FORMATS,
  'webhook: the receiver is a program. notice: it gets Posthorn\'s notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else.',
);

export const Secret = Type.String({
  maxLength: 256,
  description:
    'The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again.',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
});

/** A field of the answers to requests that set a secret. */
export const SecretWarning = {
  warning: Type.Optional(
    Type.String({
      description:
        'Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how.',
    }),
  ),
};

export const EventTypes = nullable(
  Type.Array(EventTypePattern, {
    maxItems: 100,
    description:
      'The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest.',
    examples: [['order.created', 'invoice.*']],
  }),
);

export const Channels = nullable(
  Type.Array(Channel, {
    minItems: 1,
    maxItems: 20,
    description:
      'Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit.',
    examples: [['project-42']],
  }),
);

export const Filter = nullable(
  Type.String({
    minLength: 1,
    maxLength: 1000,
    description:
      'Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit.',
    examples: ['$.total > 100'],
  }),
);

const Text = Type.String({ maxLength: 1000 });

export const Metadata = nullable(
  mapOf(Text, {
    propertyNames: { maxLength: 100 },
    maxProperties: 50,
    description: 'Your own keys and values. Posthorn stores and shows them, and does not use them.',
    examples: [{ customer: 'c_17' }],
  }),
);

/** Fields for people and other programs, which Posthorn does not use. */
const About = { description: nullable(Text), metadata: Metadata };

/** The fields that say how webhooks are delivered to a subscription. */
const PolicyFields = {
  retry_schedule: nullable(
    Type.String({
      maxLength: 500,
      description:
        'The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies.',
      examples: ['5s,5m,30m,2h'],
    }),
  ),
  timeout: nullable(
    Type.String({
      maxLength: 20,
      description:
        'The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies.',
      examples: ['10s'],
    }),
  ),
  headers: nullable(
    mapOf(Type.String({ maxLength: 2000 }), {
      propertyNames: { minLength: 1, maxLength: 100 },
      maxProperties: MAX_HEADERS,
      description:
        'Headers that are added to every delivery. Every key that can read the subscription sees them.',
      examples: [{ 'x-environment': 'staging' }],
    }),
  ),
  max_in_flight: nullable(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description:
        'The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes.',
    }),
  ),
  rate_limit: nullable(
    Type.Object(
      {
        limit: Type.Integer({ minimum: 1, maximum: 1_000_000 }),
        per: Type.String({
          maxLength: 20,
          description: 'A duration: 100ms to 1d.',
          examples: ['1s'],
        }),
      },
      {
        additionalProperties: false,
        description:
          'The most requests in a period, spread evenly, counted over all processes. Null: no limit.',
        examples: [{ limit: 50, per: '1s' }],
      },
    ),
  ),
  expire_after: nullable(
    Type.String({
      maxLength: 20,
      description:
        'Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays.',
      examples: ['10m'],
    }),
  ),
  ordering: oneOf(
    ['none', 'strict'],
    'none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended.',
  ),
};

export const SignatureScheme = oneOf(
  ['hmac', 'ed25519'],
  'hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key.',
);

/** A custom signature header in addition to those of Standard Webhooks. */
const SignatureFields = {
  signature_header: nullable(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description:
        'The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret.',
      examples: ['X-Acme-Signature'],
    }),
  ),
  signature_template: nullable(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        'The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}.',
      examples: ['t={timestamp},v1={hex}'],
    }),
  ),
  signature_content: nullable(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        'The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}.',
      examples: ['{timestamp}.{body}'],
    }),
  ),
};

const VerificationFields = {
  scheme: oneOf(VERIFY_SCHEMES),
  header: Type.Optional(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description: 'Only for the scheme hmac: the header with the signature.',
      examples: ['X-Signature'],
    }),
  ),
  algorithm: Type.Optional(
    oneOf(['sha256', 'sha512', 'sha1'], 'Only for the scheme hmac. Left out: sha256.'),
  ),
  encoding: Type.Optional(oneOf(['hex', 'base64'], 'Only for the scheme hmac. Left out: hex.')),
  prefix: Type.Optional(
    Type.String({
      maxLength: 50,
      description:
        'Only for the scheme hmac: the text before the signature in the header. Left out: none.',
      examples: ['sha256='],
    }),
  ),
};

const Verify = nullable(
  Type.Object(
    {
      ...VerificationFields,
      secret: Type.String({
        minLength: 1,
        maxLength: 256,
        description:
          'The secret that the source gave you. Its characters are the key. For standard-webhooks: whsec_ and base64, or whpk_ and a public key. It is never shown.',
      }),
    },
    {
      additionalProperties: false,
      description:
        'How the source that hands webhooks in by /ingest signs them. With a valid signature the source needs no key; webhooks without one are refused. Null: /ingest verifies X-Hub-Signature-256 with `secret`, if there is one.',
      examples: [{ scheme: 'github', secret: "It's a Secret to Everybody" }],
    },
  ),
);

/** The fields that say what is taken from requests to /ingest besides JSON bodies. */
const IngestFields = {
  forward_headers: nullable(
    Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
      maxItems: MAX_FORWARDED,
      description:
        'The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first.',
      examples: [['X-Gitlab-Event', 'X-Gitlab-Event-UUID']],
    }),
  ),
  ingest_content_types: nullable(
    Type.Array(Type.String({ minLength: 1, maxLength: 100 }), {
      maxItems: 10,
      description:
        'The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON.',
      examples: [['text/plain', 'application/x-www-form-urlencoded']],
    }),
  ),
};

/** The fields besides URL and secret that a request may give when it creates or changes a subscription. */
export const OPTIONAL_FIELDS = {
  event_types: Type.Optional(EventTypes),
  channels: Type.Optional(Channels),
  filter: Type.Optional(Filter),
  description: Type.Optional(About.description),
  metadata: Type.Optional(About.metadata),
  retry_schedule: Type.Optional(PolicyFields.retry_schedule),
  timeout: Type.Optional(PolicyFields.timeout),
  headers: Type.Optional(PolicyFields.headers),
  max_in_flight: Type.Optional(PolicyFields.max_in_flight),
  rate_limit: Type.Optional(PolicyFields.rate_limit),
  ordering: Type.Optional(PolicyFields.ordering),
  expire_after: Type.Optional(PolicyFields.expire_after),
  signature_header: Type.Optional(SignatureFields.signature_header),
  signature_template: Type.Optional(SignatureFields.signature_template),
  signature_content: Type.Optional(SignatureFields.signature_content),
  verify: Type.Optional(Verify),
  forward_headers: Type.Optional(IngestFields.forward_headers),
  ingest_content_types: Type.Optional(IngestFields.ingest_content_types),
};

/** The answer to a deletion. */
export const Deleted = Type.Object({
  cancelled: Type.Integer({
    description: 'The number of pending and held deliveries that were cancelled at once.',
  }),
  task: nullable(
    Type.String({
      format: 'uuid',
      description:
        'The id of the task that cancels the rest: see /v1/tasks/{task_id}. Null: there is no rest.',
    }),
  ),
});

export const Subscription = named('Subscription', {
  id: SubscriptionId,
  url: UrlOrPull,
  format: Format,
  status: oneOf(
    SUBSCRIPTION_STATUSES,
    'active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type.',
  ),
  status_reason: nullable(Type.String()),
  event_types: EventTypes,
  channels: Channels,
  filter: Filter,
  ...About,
  has_secret: Type.Boolean(),
  signature_scheme: SignatureScheme,
  ...SignatureFields,
  secret_overlap_until: nullable({
    ...Timestamp,
    description: 'Until when a replaced secret still signs. Null: only the current secret signs.',
  }),
  verify: nullable(Type.Object(VerificationFields)),
  ...IngestFields,
  ...PolicyFields,
  created_at: Timestamp,
  updated_at: Timestamp,
});
