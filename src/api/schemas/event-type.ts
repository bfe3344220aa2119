import { Type } from 'typebox';
import {
  MAX_DEPTH,
  MAX_DESCRIPTION_LENGTH,
  MAX_EXAMPLE_BYTES,
  MAX_SCHEMA_BYTES,
} from '../../event-types/limits.ts';
import { EventType as EventTypeName, named, nullable, Timestamp } from './common.ts';

/** What of an event type may be given when it is made or changed. */
export const EVENT_TYPE_FIELDS = {
  description: Type.Optional(
    nullable(
      Type.String({
        maxLength: MAX_DESCRIPTION_LENGTH,
        examples: ['Somebody buys.'],
      }),
    ),
  ),
  schema: Type.Optional(
    nullable(
      Type.Unsafe<Record<string, unknown>>({
        type: 'object',
        description: `JSON Schema (draft 2020-12) of the data that refers to nothing outside of itself. At most ${MAX_SCHEMA_BYTES} bytes and ${MAX_DEPTH} levels.`,
        examples: [{ type: 'object', required: ['id'], properties: { id: { type: 'integer' } } }],
      }),
    ),
  ),
  example: Type.Optional(
    Type.Any({
      description: `Data as they may be; they must fit the schema. Null: none. At most ${MAX_EXAMPLE_BYTES} bytes and ${MAX_DEPTH} levels.`,
    }),
  ),
};

export const EventType = named('EventType', {
  name: EventTypeName,
  description: nullable(Type.String()),
  schema: nullable(Type.Unsafe<Record<string, unknown>>({ type: 'object' })),
  example: Type.Any(),
  archived: Type.Boolean({
    description: 'It is no longer to be sent; where types are strict, it is refused.',
  }),
  created_at: Timestamp,
  updated_at: Timestamp,
});

const SETTINGS = {
  strict: Type.Boolean({
    description: 'Only types that are registered and not archived are taken.',
  }),
  validate: Type.Boolean({
    description:
      'Data must fit the schema of their type, where it has one. This is for what is sent by HTTP; posthorn.send in SQL validates no data.',
  }),
};

export const EventTypeSettings = named('EventTypeSettings', SETTINGS);
export const EventTypeSettingsChange = Type.Object(
  { strict: Type.Optional(SETTINGS.strict), validate: Type.Optional(SETTINGS.validate) },
  { additionalProperties: false, minProperties: 1, examples: [{ validate: true }] },
);
