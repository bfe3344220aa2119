import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { parseDuration } from '../../lib/duration.ts';
import { CAUSES, listProblems } from '../../why/receiver-problems.ts';
import { CURSOR_ID, CURSOR_MICROSECONDS, CURSOR_TEXT } from '../cursor.ts';
import { addListRoute } from '../list-route.ts';
import {
  named,
  nullable,
  oneOf,
  SUBSCRIPTION_STATUSES,
  SubscriptionId,
  Timestamp,
} from '../schemas/common.ts';
import { DeliveryId } from '../schemas/history.ts';
import { Change } from '../schemas/why.ts';
import type { ApiServices } from '../services.ts';
import { showChange } from './why.ts';

const WINDOWS = ['1h', '6h', '24h', '7d'] as const;

const ReceiverProblem = named('ReceiverProblem', {
  id: Type.String({
    description: 'The subscription and the cause. It stays the same while the problem lasts.',
    examples: ['7.http_status_503'],
  }),
  subscription_id: SubscriptionId,
  subscription_url: nullable(Type.String()),
  subscription_status: oneOf(SUBSCRIPTION_STATUSES),
  circuit_open: Type.Boolean({
    description: 'Whether its deliveries are held because many attempts failed in a row.',
  }),
  cause: oneOf(
    CAUSES,
    'The error code of the failed attempts, as `error_code` of an attempt. expired: deliveries expired without an attempt while the circuit was open. disabled: the subscription was disabled before the window, and deliveries have been held since. other: a code of another version.',
  ),
  response_code: nullable(
    Type.Integer({
      description: 'The status of the answers, for the causes http_status and redirect.',
    }),
  ),
  sentence: Type.String({
    description: 'The problem as a sentence for people. Times are in UTC.',
    examples: [
      'Subscription 7: its receiver answers 503 Service Unavailable, since 12:03:04 UTC, last at 12:10:31 UTC; its circuit is open, 2 deliveries have failed, 40 deliveries are held.',
    ],
  }),
  error: nullable(Type.String({ description: 'The newest error as a sentence for people.' })),
  since: {
    ...Timestamp,
    description:
      'When the first of these attempts failed: in the window, or before it if none has succeeded since.',
  },
  last_at: { ...Timestamp, description: 'When the last of these attempts failed.' },
  attempts: Type.Integer({ description: 'The failed attempts with this cause in the window.' }),
  waiting: Type.Integer({
    description: 'Deliveries whose last attempt failed so, and that wait for their next attempt.',
  }),
  failed: Type.Integer({
    description: 'Deliveries whose last attempt failed so, and that have failed.',
  }),
  held: Type.Integer({
    description:
      'Held deliveries of the subscription, counted up to 1,000. They are counted in its newest problem only.',
  }),
  held_more: Type.Boolean({ description: 'Whether more deliveries are held than `held` says.' }),
  first_delivery: { ...DeliveryId, description: 'The oldest of these deliveries, as an example.' },
  last_delivery: { ...DeliveryId, description: 'The newest of these deliveries, as an example.' },
  next_step: Change,
});

/** Problems of receivers: failures grouped by subscription and cause. */
export const receiverProblemRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
) => {
  addListRoute(app, {
    path: '/v1/problems',
    scope: 'read',
    operationId: 'listProblems',
    summary:
      'List the problems of receivers: failures by subscription and cause, with the next step',
    description:
      'Groups the failed attempts of the window by subscription and cause. A group is a problem while one of its deliveries is not delivered, or its subscription is disabled or has an open circuit. Those that failed last come first. At most 10,000 failed attempts are read; `complete_since` says if there were more. All pages are about the window that ended when the first page was read.',
    tag: 'history',
    page: 'A page of problems.',
    filters: {
      window: Type.Optional({
        ...oneOf(WINDOWS, 'How far back failed attempts are read.'),
        default: '24h',
      }),
      subscription_id: Type.Optional(SubscriptionId),
    },
    row: ReceiverProblem,
    beside: {
      complete_since: Type.Optional({
        ...Timestamp,
        description:
          'Only if there were more failed attempts than are read: all since this time were read, and some of the older ones. `attempts`, `waiting` and `failed` then say how many there are at least.',
      }),
    },
    cursor: [CURSOR_MICROSECONDS, CURSOR_MICROSECONDS, CURSOR_ID, CURSOR_TEXT],
    async read({ tenant, filters, limit, after, to, report }) {
      const filter = {
        tenant,
        subscriptionId: filters.subscription_id,
        windowMs: parseDuration(filters.window ?? '24h'),
      };
      const { rows, next, completeSince } = await report((pool) =>
        listProblems(pool, filter, limit, after),
      );
      return {
        rows: rows.map((problem) => ({
          id: problem.id,
          subscription_id: problem.subscription_id,
          subscription_url: problem.subscription_url,
          subscription_status: problem.status,
          circuit_open: problem.circuit_open,
          cause: problem.cause,
          response_code: problem.response_code,
          sentence: problem.sentence,
          error: problem.error,
          since: problem.since,
          last_at: problem.last_at,
          attempts: problem.attempts,
          waiting: problem.waiting,
          failed: problem.failed,
          held: problem.held,
          held_more: problem.held_more,
          first_delivery: `${problem.first_webhook}.${problem.subscription_id}`,
          last_delivery: `${problem.last_webhook}.${problem.subscription_id}`,
          next_step: showChange(problem.next_step, to),
        })),
        next,
        ...(completeSince === null ? {} : { beside: { complete_since: completeSince } }),
      };
    },
  });
};
