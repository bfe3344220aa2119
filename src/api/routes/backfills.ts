import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { errorCode } from '../../lib/errors.ts';
import {
  cancelBackfill,
  createBackfill,
  getBackfill,
  listBackfills,
} from '../../watches/backfills.ts';
import { getWatch } from '../../watches/store.ts';
import { CURSOR_ID } from '../cursor.ts';
import { linksOf } from '../links.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { notFound, Problem } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import { Backfill, BackfillId, linkBackfill, NewBackfill, WatchId } from '../schemas/watch.ts';
import type { ApiServices } from '../services.ts';
import { foreignWatch, watchProblem } from '../watch-problems.ts';

const Params = Type.Object({ backfill_id: BackfillId });
const MAX_ID = 2_147_483_647;

/** Backfills: existing rows of watched tables, which the workers send in portions. */
export const backfillRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
) => {
  app.post(
    '/v1/watches/:watch_id/backfills',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'createBackfill',
        summary: 'Send the existing rows of a watched table',
        description:
          'Sends the rows as `<table>.inserted` with `"backfill": true` in the data, in portions. The options of the watch apply, except ops and columns.',
        tags: ['watches'],
        params: Type.Object({ watch_id: WatchId }),
        body: NewBackfill,
        response: {
          202: described('The backfill, which has begun.', Backfill),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { watch_id: id } = request.params;
      const begun = await createBackfill(pool, id, request.body).catch(async (error) => {
        if (errorCode(error) !== UNDEFINED_OBJECT) throw watchProblem(error);
        const watch = await getWatch(pool, id);
        throw watch === undefined ? notFound('watch', id) : foreignWatch(watch);
      });
      const to = linksOf(request);
      reply.header('location', to(`/v1/backfills/${begun.id}`));
      return reply.code(202).send(linkBackfill(begun, to));
    },
  );

  addListRoute(app, {
    path: '/v1/backfills',
    scope: 'admin',
    operationId: 'listBackfills',
    summary: 'List the backfills, the newest first',
    tag: 'watches',
    page: 'A page of backfills.',
    filters: {},
    row: Backfill,
    cursor: [CURSOR_ID],
    read: ({ limit, after = [MAX_ID], to }) =>
      readPageBy(
        limit,
        async (limit) =>
          (await listBackfills(pool, { before: Number(after[0]), limit })).map((backfill) =>
            linkBackfill(backfill, to),
          ),
        ({ id }) => [id],
      ),
  });

  app.get(
    '/v1/backfills/:backfill_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'getBackfill',
        summary: 'Get a backfill and its progress',
        tags: ['watches'],
        params: Params,
        response: { 200: described('The backfill.', Backfill), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) =>
      reply.send(linkBackfill(await findBackfill(request.params.backfill_id), linksOf(request))),
  );

  app.post(
    '/v1/backfills/:backfill_id/cancel',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'cancelBackfill',
        summary: 'Cancel a backfill',
        description: 'It ends after the portion that is being sent. What was sent stays sent.',
        tags: ['watches'],
        params: Params,
        response: {
          200: described('The backfill, which has ended.', Backfill),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request, reply) => {
      const { backfill_id: id } = request.params;
      const ended = await cancelBackfill(pool, id);
      const backfill = await findBackfill(id);
      if (!ended && backfill.state !== 'cancelled')
        throw new Problem(
          'conflict',
          `The backfill has already ended, with the state ${backfill.state}, so it cannot be cancelled.`,
        );
      return reply.send(linkBackfill(backfill, linksOf(request)));
    },
  );

  async function findBackfill(id: number) {
    const backfill = await getBackfill(pool, id);
    if (backfill === undefined) throw notFound('backfill', id);
    return backfill;
  }
};

/** There is no such watch, or not with an owner whose rights the service has. */
const UNDEFINED_OBJECT = '42704';
