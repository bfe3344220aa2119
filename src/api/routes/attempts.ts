import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { listAttempts } from '../../history/attempts.ts';
import { ATTEMPT_CURSOR } from '../cursor.ts';
import { linkAttempt } from '../links.ts';
import { addListRoute } from '../list-route.ts';
import { EventType } from '../schemas/common.ts';
import {
  ATTEMPT_FILTERS,
  attemptFilterOf,
  CODE_FILTERS,
  ListedAttempt,
  SCANNED_PAGES,
} from '../schemas/history.ts';
import type { ApiServices } from '../services.ts';

/** Lists the attempts: the requests made to receivers. */
export const attemptRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (app) => {
  addListRoute(app, {
    path: '/v1/attempts',
    scope: 'read',
    operationId: 'listAttempts',
    summary: 'List attempts, newest first',
    description: SCANNED_PAGES,
    tag: 'history',
    page: 'A page of attempts.',
    filters: {
      ...ATTEMPT_FILTERS,
      ...CODE_FILTERS,
      event_type: Type.Optional(EventType),
    },
    row: ListedAttempt,
    cursor: ATTEMPT_CURSOR,
    async read({ tenant, filters, limit, after, to, report }) {
      const filter = {
        tenant,
        ...attemptFilterOf(filters),
        responseCode: filters.response_code,
        errorCode: filters.error_code,
        eventType: filters.event_type,
      };
      const { rows, next } = await report((pool) => listAttempts(pool, filter, limit, after));
      return { rows: rows.map((row) => linkAttempt(row, to)), next };
    },
  });
};
