import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { listAttempts } from '../../history/attempts.ts';
import { ATTEMPT_CURSOR } from '../cursor.ts';
import { addListRoute } from '../list-route.ts';
import { ATTEMPT_FILTERS, Attempt as AttemptV1, attemptFilterOf } from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

const { event_type: _, links: __, ...fields } = AttemptV1.properties;
const Attempt = Type.Object(fields);

/** The first system's route for attempts. */
export const logRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (app) => {
  addListRoute(app, {
    path: '/logs/deliverylogs',
    scope: 'read',
    operationId: 'listAttemptsLegacy',
    summary: 'List attempts, newest first',
    tag: 'history',
    page: 'A page of attempts.',
    filters: ATTEMPT_FILTERS,
    row: Attempt,
    cursor: ATTEMPT_CURSOR,
    bare: true,
    async read({ tenant, filters, limit, after, report }) {
      const filter = { tenant, ...attemptFilterOf(filters) };
      const { rows, next } = await report((pool) => listAttempts(pool, filter, limit, after));
      return {
        rows: rows.map(
          ({ event_type, response_excerpt, timing_ms, webhook_timestamp, ...attempt }) => attempt,
        ),
        next,
      };
    },
  });
};
