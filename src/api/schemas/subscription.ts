import { Type } from 'typebox';
import { nullable, STORABLE_TEXT, SubscriptionId, Timestamp } from './common.ts';

export const Url = Type.String({
  minLength: 1,
  maxLength: 2048,
  description:
    'Where webhooks are delivered. http or https, without credentials, at a public address.',
  examples: ['https://example.com/webhooks'],
});

export const Secret = Type.String({
  maxLength: 256,
  pattern: STORABLE_TEXT,
  description:
    'Signs what is delivered and, for /ingest, what is handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks). Never shown again.',
  examples: ['whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw'],
});

export const Subscription = Type.Object({
  id: SubscriptionId,
  url: Url,
  event_types: nullable(
    Type.Array(Type.String(), {
      description:
        'Which webhooks it gets of those that are sent by type. Null: all. Empty: none but those handed in for it by /ingest.',
    }),
  ),
  description: nullable(Type.String()),
  has_secret: Type.Boolean(),
  created_at: Timestamp,
  updated_at: Timestamp,
});
