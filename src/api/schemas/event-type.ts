import { Type } from 'typebox';
import {
  MAX_DEPTH,
  MAX_DESCRIPTION_LENGTH,
  MAX_EXAMPLE_BYTES,
  MAX_SCHEMA_BYTES,
} from '../../event-types/limits.ts';
import { EventType as EventTypeName, named, nullable, Timestamp } from './common.ts';

/** The fields that a request may give when it creates or changes an event type. */
export const EVENT_TYPE_FIELDS = {
  description: Type.Optional(
    nullable(
      Type.String({
        maxLength: MAX_DESCRIPTION_LENGTH,
        examples: ['A customer placed an order.'],
      }),
    ),
  ),
  schema: Type.Optional(
    nullable(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description: `JSON Schema (draft 2020-12) of the data. It must not refer to anything outside of itself. At most ${MAX_SCHEMA_BYTES} bytes and ${MAX_DEPTH} levels. Null: no schema.`,
        examples: [{ type: 'object', required: ['id'], properties: { id: { type: 'integer' } } }],
      }),
    ),
  ),
  example: Type.Optional(
    Type.Any({
      description: `An example of the data, which must fit the schema. At most ${MAX_EXAMPLE_BYTES} bytes and ${MAX_DEPTH} levels. Null: no example.`,
    }),
  ),
};

export const EventType = named('EventType', {
  name: EventTypeName,
  description: nullable(Type.String()),
  schema: nullable(Type.Unsafe<object>({ type: 'object' })),
  example: Type.Any(),
  archived: Type.Boolean({
    description:
      'The type is no longer to be sent. If the setting `strict` is on, webhooks of this type are refused.',
  }),
  created_at: Timestamp,
  updated_at: Timestamp,
});

const SETTINGS = {
  strict: Type.Boolean({
    description: 'Refuse webhooks whose event type is not registered or is archived.',
  }),
  validate: Type.Boolean({
    description:
      'Refuse webhooks whose data does not fit the schema of their event type. This applies to webhooks sent by HTTP; posthorn.send in SQL does not validate data.',
  }),
};

export const EventTypeSettings = named('EventTypeSettings', SETTINGS);
export const EventTypeSettingsChange = Type.Object(
  { strict: Type.Optional(SETTINGS.strict), validate: Type.Optional(SETTINGS.validate) },
  { additionalProperties: false, minProperties: 1, examples: [{ validate: true }] },
);
