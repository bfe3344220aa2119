import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { errorCode } from '../../lib/errors.ts';
import {
  createWatch,
  endWatch,
  getWatch,
  listWatches,
  type Watch as WatchRow,
} from '../../watches/store.ts';
import { CURSOR_ID } from '../cursor.ts';
import { linksOf } from '../links.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { invalidField, notFound } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import { NewWatch, Watch, WatchId } from '../schemas/watch.ts';
import type { ApiServices } from '../services.ts';
import { foreignWatch, watchProblem } from '../watch-problems.ts';

const Params = Type.Object({ watch_id: WatchId });

/** The watched tables of the database. They belong to no tenant, so only the scope admin reaches them. */
export const watchRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  app.post(
    '/v1/watches',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'createWatch',
        summary: 'Watch a table',
        description:
          "Sends each changed row of the table as a webhook, like posthorn.watch in SQL. Posthorn's role must have the rights of the table's owner; otherwise the answer is a 409 that says which statement grants them.",
        tags: ['watches'],
        body: NewWatch,
        response: { 201: described('The watch.', Watch), ...problems(400, 401, 409, 413, 415) },
      },
    },
    async (request, reply) => {
      const { table, schema = 'public', ...options } = request.body;
      const watch = await createWatch(pool, { schema, table }, options).catch((error) => {
        throw watchProblem(error);
      });
      if (watch === undefined)
        throw invalidField(
          'body.table',
          `names no table: there is no "${table}" in the schema "${schema}". Give both as they are stored, without quotes`,
        );
      reply.header('location', linksOf(request)(`/v1/watches/${watch.id}`));
      return reply.code(201).send(watch);
    },
  );

  addListRoute(app, {
    path: '/v1/watches',
    scope: 'admin',
    operationId: 'listWatches',
    summary: 'List the watched tables, by id',
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
        tags: ['watches'],
        params: Params,
        response: { 200: described('The watch.', Watch), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => reply.send(await findWatch(request.params.watch_id)),
  );

  app.delete(
    '/v1/watches/:watch_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'deleteWatch',
        summary: 'End a watch',
        description: 'Changes are no longer sent. Webhooks that were sent stay as they are.',
        tags: ['watches'],
        params: Params,
        response: {
          200: described('The watch, which has ended.', Watch),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const watch = await findWatch(request.params.watch_id);
      try {
        await endWatch(pool, watch.id);
      } catch (error) {
        if (errorCode(error) !== UNDEFINED_OBJECT) throw watchProblem(error);
        throw foreignWatch(await findWatch(watch.id));
      }
      return reply.send(watch);
    },
  );

  async function findWatch(id: number): Promise<WatchRow> {
    const watch = await getWatch(pool, id);
    if (watch === undefined) throw notFound('watch', id);
    return watch;
  }
};

/** There is no such watch, or not with an owner whose rights the service has. */
const UNDEFINED_OBJECT = '42704';
