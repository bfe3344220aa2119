import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { type FreshLease, leaseDeliveries } from '../../deliveries/leases.sql.ts';
import type { AttemptResult } from '../../deliveries/record.sql.ts';
import { parseDuration } from '../../lib/duration.ts';
import { errorMessage } from '../../lib/errors.ts';
import { acknowledge } from '../../pull/acknowledge.ts';
import { MAX_PULLS } from '../../pull/places.ts';
import { classifyFailure, UnreadablePayloadError } from '../../sending/classify.ts';
import type { CachedSubscription } from '../../subscriptions/cache.ts';
import { invalidField, Problem } from '../problems.ts';
import { loadPulled, type PulledDelivery } from '../pulled-delivery.ts';
import { pulledSubscription } from '../pulled-subscription.ts';
import {
  described,
  named,
  nullable,
  oneOf,
  problems,
  SubscriptionId,
  Timestamp,
  WebhookId,
} from '../schemas/common.ts';
import { LeaseToken } from '../schemas/pull.ts';
import type { ApiServices } from '../services.ts';

/** Seconds after which a request that is refused may come again: so many, or up to twice as many, so that not all come at once. */
const COME_AGAIN_S = 5;
const MAX_BATCH = 100;
const MAX_WAIT_MS = 60_000;
const MIN_LEASE_MS = 1_000;
const MAX_LEASE_MS = 3_600_000;
/** Bodies in one answer, except if the first is larger. */
const MAX_BYTES = 4 * 1024 * 1024;

const Pulled = named('PulledDelivery', {
  token: LeaseToken,
  webhook_id: WebhookId,
  attempt_number: Type.Integer({ description: 'The number of this attempt, from 1.' }),
  event_type: nullable(Type.String()),
  headers: Type.Unsafe<Readonly<Record<string, string>>>({
    type: 'object',
    additionalProperties: { type: 'string' },
    description:
      'The headers that a request with this webhook would have, with names in lower case: among them webhook-id, webhook-timestamp and the signatures, which are made when it is pulled.',
  }),
  body: Type.String({ description: 'The body, as `encoding` says. Signatures cover its bytes.' }),
  encoding: oneOf(['utf-8', 'base64'], 'base64: the body is not UTF-8.'),
});

/** Hands deliveries out to receivers that get them by requests of their own, such as those behind a firewall. */
export const pullRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, listPool, subscriptions, polls, pullPlaces, settings, metrics } },
) => {
  const onAttempt = (result: AttemptResult) => metrics.observePulled(result);
  const recording = { schedule: settings.retrySchedule, onAttempt };
  const open = new Set<AbortController>();
  let isStopping = false;

  // Before the server waits for its connections.
  app.addHook('preClose', async () => {
    isStopping = true;
    for (const ending of open) ending.abort();
  });

  /**
   * Takes a place for a request that pulls.
   *
   * @returns a function that gives it back.
   * @throws Problem (429, 503) that says when to come again.
   */
  function begin(tenant: string, ending: AbortController): () => void {
    const leave = pullPlaces.take(tenant);
    if (typeof leave === 'string') {
      const seconds = COME_AGAIN_S + Math.floor(Math.random() * COME_AGAIN_S);
      const headers = { 'retry-after': String(seconds) };
      throw leave === 'full'
        ? new Problem('unavailable', `${MAX_PULLS} requests pull from this process already.`, {
            headers,
          })
        : new Problem(
            'too-many-requests',
            `${pullPlaces.takenBy(tenant)} requests of this tenant pull already. Pull with fewer at the same time, and with a larger batch.`,
            { headers },
          );
    }
    open.add(ending);
    if (isStopping) ending.abort();
    return () => {
      open.delete(ending);
      leave();
    };
  }

  /** Gives deliveries back that did not get to their receiver. Should this fail, their leases end by time. */
  async function giveBack(id: number, leases: readonly FreshLease[]): Promise<void> {
    const released = leases.map((lease) => ({ ...lease, outcome: 'released' as const }));
    await acknowledge(pool, id, released, recording).catch(() => {});
  }

  /** Loads what was handed out. Deliveries whose bodies cannot be read fail, as those that are sent. */
  async function load(
    subscription: CachedSubscription,
    leases: readonly FreshLease[],
  ): Promise<PulledDelivery[]> {
    try {
      const { deliveries, unreadable } = await loadPulled(listPool, subscription, leases);
      const failed = unreadable.map(({ lease, problem }) => ({
        ...lease,
        outcome: {
          ...classifyFailure(new UnreadablePayloadError(problem), 0),
          responseCode: null,
          responseExcerpt: null,
        },
      }));
      if (failed.length > 0) await acknowledge(pool, subscription.id, failed, recording);
      return deliveries;
    } catch (error) {
      await giveBack(subscription.id, leases);
      throw error;
    }
  }

  app.get(
    '/v1/subscriptions/:subscription_id/pull',
    {
      config: { scope: 'pull' },
      exposeHeadRoute: false,
      schema: {
        operationId: 'pullDeliveries',
        summary: 'Pull deliveries of a subscription without a URL',
        description:
          'Hands out the oldest deliveries that are due, each with a lease, and waits if there are none. Each must be acknowledged (POST …/acknowledge) before its lease ends; otherwise the attempt counts as timed out, and the next attempt follows by the retry schedule. Order, rate limit, max_in_flight and pause hold as for other subscriptions. docs/pull.md has an example.',
        tags: ['pull'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        querystring: Type.Object(
          {
            batch: Type.Optional(
              Type.Integer({
                minimum: 1,
                maximum: MAX_BATCH,
                default: 10,
                description:
                  'The most deliveries. There are fewer if fewer are due, or if their bodies are larger than 4 MiB together.',
              }),
            ),
            wait: Type.Optional(
              Type.String({
                maxLength: 20,
                default: '20s',
                description:
                  'How long to wait if nothing is due: 0s to 1m. The answer comes as soon as something is due.',
              }),
            ),
            lease: Type.Optional(
              Type.String({
                maxLength: 20,
                default: '1m',
                description: 'The time for acknowledging the deliveries: 1s to 1h.',
              }),
            ),
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'The deliveries, the oldest first; none if nothing was due in that time.',
            Type.Object({
              deliveries: Type.Array(Pulled),
              leased_until: nullable({
                ...Timestamp,
                description: 'When the leases end. Null: there are no deliveries.',
              }),
            }),
          ),
          ...problems(400, 401, 404, 409, 429),
        },
      },
    },
    async (request, reply) => {
      const { tenant, query } = request;
      const { subscription_id: id } = request.params;
      const { batch = 10, wait = '20s', lease = '1m' } = query;
      const asked = {
        most: batch,
        maxBytes: MAX_BYTES,
        leaseMs: durationIn('query.lease', lease, MIN_LEASE_MS, MAX_LEASE_MS, '1s to 1h'),
      };
      const until = performance.now() + durationIn('query.wait', wait, 0, MAX_WAIT_MS, '0s to 1m');
      let subscription = await pulledSubscription(subscriptions, tenant, id);
      const ending = new AbortController();
      const end = begin(tenant, ending);
      const poll = polls.begin(id);
      const leave = () => ending.abort();
      reply.raw.once('close', leave);
      reply.header('cache-control', 'no-store');
      try {
        while (!ending.signal.aborted) {
          const leased = await leaseDeliveries(listPool, id, asked);
          if (leased.deliveries.length > 0) {
            const deliveries = await load(subscription, leased.deliveries);
            if (reply.raw.destroyed) await giveBack(id, leased.deliveries);
            else if (deliveries.length > 0) return { deliveries, leased_until: leased.leasedUntil };
            continue;
          }
          poll.foundNothing(leased.againMs);
          // A request that waits has no turn, and so no connection to the database.
          app.endTurn(request);
          if (!(await poll.wait(until - performance.now(), ending.signal))) break;
          // Meanwhile the key may have ended, or the subscription.
          await app.checkAccess(request);
          await app.takeTurn(request);
          subscription = await pulledSubscription(subscriptions, tenant, id);
        }
        return { deliveries: [], leased_until: null };
      } finally {
        reply.raw.off('close', leave);
        poll.end();
        end();
      }
    },
  );
};

/** @throws Problem (400) for a text that is no duration, or one outside of the range, which `range` names. */
function durationIn(
  field: string,
  text: string,
  minMs: number,
  maxMs: number,
  range: string,
): number {
  let durationMs: number;
  try {
    durationMs = parseDuration(text);
  } catch (error) {
    throw invalidField(field, `cannot be used: ${errorMessage(error)}`);
  }
  if (durationMs < minMs || durationMs > maxMs)
    throw invalidField(field, `is ${text}; it must be ${range}`);
  return durationMs;
}
