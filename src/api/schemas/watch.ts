import { Type } from 'typebox';
import { BACKFILL_STATES, type Backfill as BackfillRow } from '../../watches/backfills.ts';
import type { To } from '../links.ts';
import { MAX_TENANT_LENGTH } from '../plugins/access.ts';
import { named, nullable, oneOf, Timestamp } from './common.ts';

/** The most columns of a table in Postgres. */
const MAX_COLUMNS = 1600;
const MAX_CONDITION = 10_000;

export const WatchId = Type.Integer({
  minimum: 1,
  maximum: 2_147_483_647,
  description: 'The id of a watch.',
  examples: [1],
});
export const BackfillId = Type.Integer({
  minimum: 1,
  maximum: 2_147_483_647,
  description: 'The id of a backfill.',
  examples: [1],
});

/** The name of a schema, a table or a column, as Postgres stores it. */
const Name = Type.String({ minLength: 1, maxLength: 63, examples: ['orders'] });
const Columns = (description: string) =>
  nullable(Type.Array(Name, { minItems: 1, maxItems: MAX_COLUMNS, description }));
const IN_ROWS =
  'It may compare values of the row and call immutable functions. Subqueries and other functions are refused; such a condition can be given in SQL.';

export const Watch = named('Watch', {
  id: WatchId,
  schema: Type.String(),
  table: Type.String(),
  enabled: Type.Boolean({ description: 'False if a trigger of the watch is disabled.' }),
  owner: Type.String({ description: 'The role with whose rights the condition is evaluated.' }),
  ops: Type.Array(Type.String(), { description: 'Of insert, update and delete.' }),
  columns: nullable(
    Type.Array(Type.String(), { description: 'Updates of other columns do not count.' }),
  ),
  payload_columns: nullable(
    Type.Array(Type.String(), { description: 'The columns that are sent. Null: all.' }),
  ),
  when: nullable(Type.String({ description: 'The condition on the new and the old row.' })),
  with_old: Type.Boolean(),
  ordering_key: nullable(Type.String()),
  tenant: nullable(Type.String()),
  tenant_column: nullable(Type.String()),
  per: Type.String({ description: 'statement or row.' }),
  event_type: Type.String({ description: 'The first part of the event types.' }),
  on_error: Type.String({ description: 'raise or skip.' }),
  failures: Type.Number({ description: 'How many webhooks could not be sent, with skip.' }),
  last_failed_at: nullable(Timestamp),
  last_error: nullable(Type.String()),
});

/** The options of posthorn.watch, with the names that they have in SQL. */
export const NewWatch = Type.Object(
  {
    table: {
      ...Name,
      description:
        'The table to watch, as its name is stored: without quotes, and in lower case unless it was created in quotes.',
    },
    schema: Type.Optional({
      ...Name,
      default: 'public',
      description: 'The schema of the table.',
      examples: ['public'],
    }),
    ops: Type.Optional(
      Type.Array(oneOf(['insert', 'update', 'delete']), {
        minItems: 1,
        maxItems: 3,
        description: 'Which operations are sent. Left out: all three.',
      }),
    ),
    columns: Type.Optional(
      Columns('An update counts only if one of these columns has another value.'),
    ),
    payload_columns: Type.Optional(
      Columns('Only these columns are sent. Left out: all, also those added later.'),
    ),
    when: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: MAX_CONDITION,
          description: `A condition on the rows new and old, as an SQL expression. ${IN_ROWS}`,
          examples: ['new.total > 100'],
        }),
      ),
    ),
    with_old: Type.Optional(
      Type.Boolean({ default: true, description: 'Whether an update has the old row too.' }),
    ),
    ordering_key: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: 1000,
          description: 'Columns with commas between them, or pk for the primary key.',
          examples: ['pk'],
        }),
      ),
    ),
    tenant: Type.Optional(
      Type.String({
        maxLength: MAX_TENANT_LENGTH,
        description:
          'The tenant of the webhooks. Left out: default, unless there is a tenant_column.',
      }),
    ),
    tenant_column: Type.Optional(nullable({ ...Name, description: 'The column with the tenant.' })),
    per: Type.Optional(
      oneOf(
        ['statement', 'row'],
        'Whether the trigger is called for each statement, which costs least, or for each row.',
      ),
    ),
    event_type: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 119,
        description: 'The first part of the event types. Left out: the name of the table.',
        examples: ['orders'],
      }),
    ),
    on_error: Type.Optional(
      oneOf(
        ['raise', 'skip'],
        'If a webhook cannot be sent: raise makes the statement fail, skip counts it.',
      ),
    ),
  },
  {
    additionalProperties: false,
    examples: [{ table: 'orders', ops: ['insert', 'update'], when: 'new.id > 0' }],
  },
);

const Link = Type.String({ format: 'uri-reference' });

export const Backfill = named('Backfill', {
  id: BackfillId,
  watch_id: WatchId,
  schema: nullable(Type.String({ description: 'Null: the table is gone.' })),
  table: nullable(Type.String()),
  where: nullable(Type.String({ description: 'The condition on the rows. Null: all are sent.' })),
  per_second: nullable(Type.Integer({ description: 'The most rows a second. Null: no limit.' })),
  state: oneOf(BACKFILL_STATES),
  rows_sent: Type.Integer(),
  progress: Type.Number({
    minimum: 0,
    maximum: 1,
    description: 'The share of the table that has been read.',
  }),
  sent_by_workers: Type.Boolean({
    description:
      "False: the table's owner lacks rights that Posthorn's role has, so a session of the owner has to call posthorn.send_backfill.",
  }),
  error: nullable(Type.String({ description: 'Why it failed. Null: it did not fail.' })),
  created_at: Timestamp,
  ended_at: nullable(Timestamp),
  links: Type.Object({
    self: Link,
    cancel: Type.String({
      format: 'uri-reference',
      description: 'POST to this URL to cancel the backfill.',
    }),
  }),
});

export const NewBackfill = Type.Object(
  {
    where: Type.Optional(
      nullable(
        Type.String({
          minLength: 1,
          maxLength: MAX_CONDITION,
          description: `A condition on the row new, as an SQL expression. ${IN_ROWS} Left out: all rows.`,
          examples: ['new.total > 200'],
        }),
      ),
    ),
    per_second: Type.Optional(
      nullable(
        Type.Integer({
          minimum: 1,
          maximum: 1_000_000,
          description: 'The most rows a second. Left out: as fast as possible.',
        }),
      ),
    ),
  },
  { additionalProperties: false, examples: [{ where: 'new.id > 0', per_second: 500 }] },
);

/** Adds links to a backfill. */
export function linkBackfill(backfill: BackfillRow, to: To) {
  const self = `/v1/backfills/${backfill.id}`;
  return { ...backfill, links: { self: to(self), cancel: to(`${self}/cancel`) } };
}
