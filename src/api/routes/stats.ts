import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type TInteger, Type } from 'typebox';
import { HELD_REASONS, type HeldReason } from '../../deliveries/held-reasons.ts';
import {
  readSeries,
  SERIES_WINDOWS,
  type SeriesPoint,
  type SeriesWindow,
} from '../../history/series.ts';
import { readStats } from '../../history/stats.ts';
import { readWaiting } from '../../history/waiting.sql.ts';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { invalidField } from '../problems.ts';
import {
  described,
  named,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const MAX_WINDOW_MS = 31 * 86_400_000;

const Milliseconds = nullable(Type.Number({ description: 'Milliseconds' }));
const Latency = Type.Object({ p50: Milliseconds, p95: Milliseconds, p99: Milliseconds });
const Stats = named('Stats', {
  window: Type.String({
    description: 'The length of time, up to now, that the figures are about.',
  }),
  subscription_id: nullable(SubscriptionId),
  accepted: Type.Integer({
    description:
      'Webhooks accepted in the window. With subscription_id: deliveries created for that subscription in the window.',
  }),
  succeeded: Type.Integer({ description: 'Deliveries that succeeded in the window.' }),
  failed: Type.Integer({ description: 'Deliveries that failed for good in the window.' }),
  retrying: Type.Integer({
    description: 'Deliveries that have had a failed attempt and now wait for the next attempt.',
  }),
  attempts: Type.Integer({ description: 'Attempts made in the window.' }),
  success_rate: nullable(
    Type.Number({
      description:
        'The share of the attempts that succeeded, from 0 to 1. Null: there were no attempts.',
    }),
  ),
  attempt_latency_ms: {
    ...Latency,
    description:
      'Percentiles of the durations of attempts. With more than 10,000 attempts in the window, they are computed from counts of classes of durations, such as 150 to 200 ms.',
  },
  queue_depth: Type.Integer({ description: 'Deliveries that are due now and wait for a worker.' }),
  oldest_due_at: nullable(Timestamp),
  held: Type.Integer({
    description:
      'Deliveries that are held now: their receiver is slow or failing, or their subscription is paused.',
  }),
});

/** What a point of a series, and the total of all points, count. */
const Counts = {
  accepted: Type.Integer({
    description:
      'Webhooks accepted. With subscription_id: deliveries created for that subscription.',
  }),
  attempts: Type.Integer({ description: 'Attempts made.' }),
  succeeded: Type.Integer({ description: 'Attempts that succeeded.' }),
  failed: Type.Integer({ description: 'Attempts that did not succeed.' }),
  success_rate: nullable(
    Type.Number({ description: 'The share of the attempts that succeeded, from 0 to 1.' }),
  ),
  attempt_latency_ms: {
    ...Latency,
    description:
      'Percentiles of the durations of attempts. They are computed from counts of classes of durations, such as 150 to 200 ms.',
  },
};

const Series = named('StatsSeries', {
  window: Type.String({ description: 'The length of time, up to now, that the series covers.' }),
  subscription_id: nullable(SubscriptionId),
  period: Type.String({ description: 'The length of time that a point stands for.' }),
  counted_until: {
    ...Timestamp,
    description:
      'Everything before this time is counted, exactly. It is one to two minutes ago, or longer if a transaction that writes to the database has been open for longer.',
  },
  total: Type.Object(Counts, { description: 'All points together.' }),
  points: Type.Array(
    Type.Object({ at: { ...Timestamp, description: 'When the period begins.' }, ...Counts }),
    { description: 'A point for each period of the window, oldest first, without gaps.' },
  ),
});

const Queue = named('QueueStats', {
  due: Type.Integer({ description: 'Deliveries that are due now and wait for a worker.' }),
  due_more: Type.Boolean({
    description:
      'Whether there may be more: only the 100,000 deliveries of all tenants that have been due or held for the longest are counted.',
  }),
  oldest_due_at: nullable({
    ...Timestamp,
    description: 'When the oldest of them was due. Null: none waits.',
  }),
  held: Type.Object(
    Object.fromEntries(HELD_REASONS.map((reason) => [reason, Type.Integer()])) as Record<
      HeldReason,
      TInteger
    >,
    {
      description:
        'Deliveries that are held now outside the queue, by what their subscription is or asks for: paused; disabled; its circuit is open; strict ordering; a rate limit or max_in_flight; or its receiver takes no more at the moment. Up to 10,000 of a subscription and 100,000 together are counted.',
    },
  ),
  held_more: Type.Boolean({ description: 'Whether more are held than that.' }),
  workers: Type.Integer({
    description: 'Worker processes that are alive. With 0, nothing is delivered.',
  }),
});

/** Figures about a tenant's webhooks, deliveries and attempts. */
export const statsRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { listPool } },
) => {
  app.get(
    '/v1/stats',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getStats',
        summary: 'Get figures about the last hour (or another window) and about the queue now',
        tags: ['history'],
        querystring: Type.Object(
          {
            window: Type.Optional(
              Type.String({
                maxLength: 20,
                default: '1h',
                description:
                  'The length of time up to now: a duration up to 31d, such as 15m, 1h or 7d.',
                examples: ['1h'],
              }),
            ),
            subscription_id: Type.Optional(SubscriptionId),
          },
          { additionalProperties: false },
        ),
        response: { 200: described('The figures.', Stats), ...problems(400, 401) },
      },
    },
    async (request, reply) => {
      const { window = '1h', subscription_id = null } = request.query;
      const windowMs = readWindow(window);
      const { p50, p95, p99, ...figures } = await app.readReport(request, reply, (pool) =>
        readStats(pool, request.tenant, subscription_id, windowMs),
      );
      return reply.send({
        window: formatDuration(windowMs),
        subscription_id,
        ...figures,
        success_rate: figures.attempts === 0 ? null : figures.succeeded / figures.attempts,
        attempt_latency_ms: { p50, p95, p99 },
      });
    },
  );

  app.get(
    '/v1/stats/series',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getStatsSeries',
        summary: 'Get what happened in each minute, or longer period, of a window',
        description:
          'The counts are kept by the hour for 400 days, those of each subscription for 35 days, and by the minute for two days, also after the history that they count was dropped.',
        tags: ['history'],
        querystring: Type.Object(
          {
            window: Type.Optional({
              ...oneOf(
                Object.keys(SERIES_WINDOWS) as SeriesWindow[],
                'The length of time up to now. A point stands for a minute (1h), ten minutes (24h; with subscription_id an hour), an hour (7d) or six hours (30d).',
              ),
              default: '1h',
            }),
            subscription_id: Type.Optional(SubscriptionId),
          },
          { additionalProperties: false },
        ),
        response: { 200: described('The series.', Series), ...problems(400, 401) },
      },
    },
    async (request, reply) => {
      const { window = '1h', subscription_id = null } = request.query;
      const { countedUntil, periodMs, points, total } = await app.readReport(
        request,
        reply,
        (pool) => readSeries(pool, request.tenant, subscription_id, window),
      );
      return reply.send({
        window,
        subscription_id,
        period: formatDuration(periodMs),
        counted_until: countedUntil,
        total: presentCounts(total),
        points: points.map(({ at, ...counts }) => ({ at, ...presentCounts(counts) })),
      });
    },
  );

  app.get(
    '/v1/stats/queue',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getQueueStats',
        summary: 'Get which deliveries wait now, and why',
        tags: ['history'],
        response: { 200: described('The deliveries that wait.', Queue), ...problems(400, 401) },
      },
    },
    async (request) => {
      const { held, ...waiting } = await readWaiting(listPool, request.tenant);
      return {
        ...waiting,
        held: Object.fromEntries(
          HELD_REASONS.map((reason) => [reason, held[reason] ?? 0]),
        ) as Record<HeldReason, number>,
      };
    },
  );
};

function presentCounts({ p50, p95, p99, ...counts }: Omit<SeriesPoint, 'at'>) {
  return {
    ...counts,
    success_rate: counts.attempts === 0 ? null : counts.succeeded / counts.attempts,
    attempt_latency_ms: { p50, p95, p99 },
  };
}

function readWindow(window: string): number {
  try {
    const windowMs = parseDuration(window);
    if (windowMs > 0 && windowMs <= MAX_WINDOW_MS) return windowMs;
  } catch {
    // The message below is clearer: it says which durations are allowed here.
  }
  throw invalidField('query.window', 'must be a duration up to 31d, such as 15m, 1h or 7d');
}
