import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { invalidField } from '../problems.ts';
import {
  described,
  named,
  nullable,
  problems,
  SubscriptionId,
  Timestamp,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const MAX_WINDOW_MS = 31 * 86_400_000;

const Milliseconds = nullable(Type.Number({ description: 'Milliseconds' }));
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
  attempt_latency_ms: Type.Object({ p50: Milliseconds, p95: Milliseconds, p99: Milliseconds }),
  queue_depth: Type.Integer({ description: 'Deliveries that are due now and wait for a worker.' }),
  oldest_due_at: nullable(Timestamp),
  held: Type.Integer({
    description:
      'Deliveries that are held now: their receiver is slow or failing, or their subscription is paused.',
  }),
});

/** Figures about a tenant's webhooks, deliveries and attempts. */
export const statsRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool } },
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
      const { rows } = await pool.query({
        name: 'stats',
        text: STATS,
        values: [windowMs, subscription_id, request.tenant],
      });
      const { p50, p95, p99, ...row } = rows[0];
      return reply.send({
        window: formatDuration(windowMs),
        subscription_id,
        ...row,
        success_rate: row.attempts === 0 ? null : row.succeeded / row.attempts,
        attempt_latency_ms: { p50, p95, p99 },
      });
    },
  );
};

function readWindow(window: string): number {
  try {
    const windowMs = parseDuration(window);
    if (windowMs > 0 && windowMs <= MAX_WINDOW_MS) return windowMs;
  } catch {
    // The message below is clearer: it says which durations are allowed here.
  }
  throw invalidField('query.window', 'must be a duration up to 31d, such as 15m, 1h or 7d');
}

/**
 * $1 the window in milliseconds, $2 a subscription's id or null, $3 the tenant. Each part reads one
 * index range. With only one tenant the query does not filter webhooks by tenant: counting them then
 * needs the index alone.
 */
const STATS = `
  with bounds as materialized (
    select now() - $1 * interval '1 millisecond' as since,
      posthorn.uuidv7_floor(now() - $1 * interval '1 millisecond') as since_id
  ), own as materialized (
    select id from posthorn.subscriptions where tenant = $3 and ($2::integer is null or id = $2)
  ), attempts as (
    select
      count(*)::integer as attempts,
      count(*) filter (where a.status = 'success')::integer as succeeded,
      percentile_cont(array[0.5, 0.95, 0.99]) within group (order by a.duration_ms) as latency
    from posthorn.delivery_attempts a
    where a.at >= (select since from bounds) and ($2::integer is null or a.subscription_id = $2)
      and a.subscription_id in (select id from own)
  ), owed as (
    select
      count(*) filter (where d.attempt_count > 0)::integer as retrying,
      count(*) filter (where d.state = 'held')::integer as held,
      count(*) filter (where d.state = 'pending' and d.next_attempt_at <= now())::integer as queue_depth,
      min(d.next_attempt_at) filter (where d.state = 'pending' and d.next_attempt_at <= now()) as oldest_due_at
    from posthorn.deliveries d
    where d.state in ('pending', 'held') and ($2::integer is null or d.subscription_id = $2)
      and d.subscription_id in (select id from own)
  )
  select
    case
      when $2::integer is not null then
        (select count(*) from posthorn.deliveries
          where subscription_id = $2 and webhook_id >= (select since_id from bounds)
            and subscription_id in (select id from own))
      when exists (select from posthorn.tenants where id <> $3) then
        (select count(*) from posthorn.webhook_payloads
          where id >= (select since_id from bounds) and tenant = $3)
      else
        (select count(*) from posthorn.webhook_payloads where id >= (select since_id from bounds))
    end::integer as accepted,
    attempts.succeeded,
    (select count(*) from posthorn.deliveries
      where state = 'failed' and ended_at >= (select since from bounds)
        and ($2::integer is null or subscription_id = $2)
        and subscription_id in (select id from own))::integer as failed,
    owed.retrying,
    attempts.attempts,
    attempts.latency[1] as p50, attempts.latency[2] as p95, attempts.latency[3] as p99,
    owed.queue_depth,
    owed.oldest_due_at,
    owed.held
  from attempts, owed`;
