import { Type } from 'typebox';
import { VERIFY_SCHEMES } from '../../signing/verify/schemes.ts';
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
    'Where webhooks are delivered. http or https, without credentials, at a public address.',
  examples: ['https://example.com/webhooks'],
});

export const Secret = Type.String({
  maxLength: 256,
  description:
    'Signs what is delivered and, for /ingest, what is handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks); or whsk_ and an Ed25519 private key in base64, which signs what is delivered alone. Never shown again.',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
});

export const EventTypes = nullable(
  Type.Array(EventTypePattern, {
    maxItems: 100,
    description:
      'Which webhooks it gets of those that are sent by type: exact types, prefixes such as `order.*`, or `*`. Null: all. Empty: none but those handed in for it by /ingest.',
    examples: [['order.created', 'invoice.*']],
  }),
);

export const Channels = nullable(
  Type.Array(Channel, {
    minItems: 1,
    maxItems: 20,
    description:
      'Of the webhooks that are sent by type, it gets those that have one of these channels. Null: whatever their channels.',
    examples: [['project-42']],
  }),
);

export const Filter = nullable(
  Type.String({
    minLength: 1,
    maxLength: 1000,
    description:
      'Of the webhooks that are sent by type, it gets those whose `data` match: a JSON path as Postgres has it, either a comparison or one with `?( )` that finds something. docs/filters.md has the rules. It is shown as Postgres writes it.',
    examples: ['$.total > 100'],
  }),
);

const Text = Type.String({ maxLength: 1000 });

export const Metadata = nullable(
  mapOf(Text, {
    propertyNames: { maxLength: 100 },
    maxProperties: 50,
    description: 'Yours to use.',
    examples: [{ customer: 'c_17' }],
  }),
);

/** What is said of a subscription for people and for programs, and matters to no delivery. */
const About = { description: nullable(Text), metadata: Metadata };

/** How a subscription is delivered to. */
const PolicyFields = {
  retry_schedule: nullable(
    Type.String({
      maxLength: 500,
      description:
        'Delays before attempts 2, 3, …, as in POSTHORN_RETRY_SCHEDULE. Null: as that setting has it.',
      examples: ['5s,5m,30m,2h'],
    }),
  ),
  timeout: nullable(
    Type.String({
      maxLength: 20,
      description:
        'Bound of one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: as POSTHORN_DELIVERY_TIMEOUT has it.',
      examples: ['10s'],
    }),
  ),
  headers: nullable(
    mapOf(Type.String({ maxLength: 2000 }), {
      propertyNames: { minLength: 1, maxLength: 100 },
      maxProperties: MAX_HEADERS,
      description:
        'Headers of every delivery. They are shown to whoever may read the subscription.',
      examples: [{ 'x-environment': 'staging' }],
    }),
  ),
  max_in_flight: nullable(
    Type.Integer({
      minimum: 1,
      maximum: 10_000,
      description:
        'Requests at once, of all processes together. Null: as many as the receiver takes.',
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
        description: 'So many requests in a time, evenly, of all processes together.',
        examples: [{ limit: 50, per: '1s' }],
      },
    ),
  ),
  ordering: oneOf(
    ['none', 'strict'],
    'strict: one at a time in the order of acceptance; one that fails holds back the rest until it has ended.',
  ),
};

export const SignatureScheme = oneOf(
  ['hmac', 'ed25519'],
  'hmac: v1 of Standard Webhooks, with a secret that both ends have. ed25519: v1a, with a private key that never leaves here; receivers verify with the public one.',
);

/** A signature header of one's own, besides those of Standard Webhooks. */
const SignatureFields = {
  signature_header: nullable(
    Type.String({
      minLength: 1,
      maxLength: 100,
      description:
        'One more header with a signature, for receivers that were made for another sender. By hmac its key is the characters of the secret, and the hash SHA-256.',
      examples: ['X-Acme-Signature'],
    }),
  ),
  signature_template: nullable(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        'What that header says, with {hex} or {base64} for the signature, {timestamp} and {id}. Null: {hex}.',
      examples: ['t={timestamp},v1={hex}'],
    }),
  ),
  signature_content: nullable(
    Type.String({
      minLength: 1,
      maxLength: 200,
      description:
        'What is signed for that header, with {body}, {timestamp} and {id}. Null: {body}.',
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
      description: 'Of hmac: the header with the signature.',
      examples: ['X-Signature'],
    }),
  ),
  algorithm: Type.Optional(oneOf(['sha256', 'sha512', 'sha1'], 'Of hmac. If left out: sha256.')),
  encoding: Type.Optional(oneOf(['hex', 'base64'], 'Of hmac. If left out: hex.')),
  prefix: Type.Optional(
    Type.String({
      maxLength: 50,
      description: 'Of hmac: what stands before the signature. If left out: nothing.',
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
          'The one that the sender gave you. Its characters are the key; for standard-webhooks whsec_ and base64, or whpk_ and a public key. Never shown.',
      }),
    },
    {
      additionalProperties: false,
      description:
        'How the source that hands webhooks in by /ingest signs them; it then needs no other proof, and nothing else is taken. Null: X-Hub-Signature-256 under `secret`, where there is one.',
      examples: [{ scheme: 'github', secret: "It's a Secret to Everybody" }],
    },
  ),
);

/** What of a subscription may be given when it is made or changed, besides its URL and secret. */
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
  signature_header: Type.Optional(SignatureFields.signature_header),
  signature_template: Type.Optional(SignatureFields.signature_template),
  signature_content: Type.Optional(SignatureFields.signature_content),
  verify: Type.Optional(Verify),
};

/** What is said of a deletion. */
export const Deleted = Type.Object({
  cancelled: Type.Integer({ description: 'Owed deliveries that were cancelled at once.' }),
  task: nullable(
    Type.String({
      format: 'uuid',
      description: 'The task that cancels the rest: see /v1/tasks/{task_id}. Null: there is none.',
    }),
  ),
});

export const Subscription = named('Subscription', {
  id: SubscriptionId,
  url: Url,
  status: oneOf(
    SUBSCRIPTION_STATUSES,
    'paused: what is owed is held until it is resumed. disabled: its receiver failed for too long or said 410; nothing new is sent to it by type.',
  ),
  status_reason: nullable(Type.String()),
  event_types: EventTypes,
  channels: Channels,
  filter: Filter,
  ...About,
  has_secret: Type.Boolean(),
  signature_scheme: SignatureScheme,
  ...SignatureFields,
  secret_overlap_until: nullable(
    Type.String({
      format: 'date-time',
      description: 'Until when a secret that was replaced still signs.',
    }),
  ),
  verify: nullable(Type.Object(VerificationFields)),
  ...PolicyFields,
  created_at: Timestamp,
  updated_at: Timestamp,
});
