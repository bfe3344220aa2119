import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { getWatch, listWatches } from '../../watches/store.ts';
import { CURSOR_ID } from '../cursor.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { notFound } from '../problems.ts';
import { described, named, nullable, problems, Timestamp } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const IN_SQL =
  'Only the owner of a table can create and end a watch, with posthorn.watch and posthorn.unwatch in SQL.';

const Watch = named('Watch', {
  id: Type.Integer(),
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

const Params = Type.Object({
  watch_id: Type.Integer({
    minimum: 1,
    maximum: 2_147_483_647,
    description: 'The id of a watch.',
    examples: [1],
  }),
});

/** The watched tables of the database. They are created and ended in SQL. */
export const watchRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  addListRoute(app, {
    path: '/v1/watches',
    scope: 'admin',
    operationId: 'listWatches',
    summary: 'List the watched tables, by id',
    description: IN_SQL,
    tag: 'watches',
    page: 'A page of watches.',
    filters: {},
    row: Watch,
    cursor: [CURSOR_ID],
    read: ({ limit, after = [] }) =>
      readPageBy(
        limit,
        (limit) => listWatches(pool, { after: Number(after[0] ?? 0), limit }),
        ({ id }) => [id],
      ),
  });

  app.get(
    '/v1/watches/:watch_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'getWatch',
        summary: 'Get a watch',
        description: IN_SQL,
        tags: ['watches'],
        params: Params,
        response: { 200: described('The watch.', Watch), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => {
      const { watch_id: id } = request.params;
      const watch = await getWatch(pool, id);
      if (watch === undefined) throw notFound('watch', id);
      return reply.send(watch);
    },
  );
};
