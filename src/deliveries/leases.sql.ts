import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { type HistoryOfIds, historyOf } from '../db/history-of-ids.ts';
import { bounds } from '../db/planner.ts';
import { notifyOwners } from './backlogs.sql.ts';

/** The deliveries that a receiver gets from a subscription without a URL. */
export interface Leased {
  readonly deliveries: readonly FreshLease[];
  /** Until when they have to be acknowledged. */
  readonly leasedUntil: Date | null;
  /** The time until there may be more, if time alone can change it. */
  readonly againMs: number | null;
}

export interface LeasedDelivery {
  readonly webhookId: string;
  /** Attempts before this one. */
  readonly attemptCount: number;
  /** The number of its lease, which its acknowledgement has to give. */
  readonly token: number;
}

/** A delivery that has just been handed out. */
export interface FreshLease extends LeasedDelivery {
  readonly eventType: string | null;
}

export interface LeaseRequest {
  readonly most: number;
  /** The most bytes of bodies, except if the first body alone is larger. */
  readonly maxBytes: number;
  readonly leaseMs: number;
}

/**
 * Hands out the oldest deliveries of a subscription that are due, each with a lease: see
 * schema/functions/lease_deliveries.sql.
 *
 * @param pool with the planner settings `POOL_PLANS.lists`.
 */
export async function leaseDeliveries(
  pool: pg.Pool,
  subscriptionId: number,
  { most, maxBytes, leaseMs }: LeaseRequest,
): Promise<Leased> {
  const { rows } = await pool.query<{
    webhooks: string[] | null;
    attempts: number[];
    tokens: number[];
    event_types: (string | null)[];
    leased_until: Date | null;
    again_ms: number | null;
  }>({
    name: 'lease-deliveries',
    text: `
      select webhooks::text[], attempts, tokens, event_types, leased_until, again_ms
      from posthorn.lease_deliveries($1, $2, $3, $4)`,
    values: [subscriptionId, most, maxBytes, leaseMs],
  });
  const { webhooks, attempts, tokens, event_types, leased_until, again_ms } = rows[0] ?? {};
  return {
    deliveries: (webhooks ?? []).map((webhookId, nth) => ({
      webhookId,
      attemptCount: attempts?.[nth] as number,
      token: tokens?.[nth] as number,
      eventType: event_types?.[nth] ?? null,
    })),
    leasedUntil: leased_until ?? null,
    againMs: again_ms ?? null,
  };
}

/** A lease that is over: acknowledged, given back, or ended by time. */
export interface EndedLease extends LeasedDelivery {
  readonly subscriptionId: number;
  readonly attemptNumber: number;
  /** From the pull until it was acknowledged or had to be. */
  readonly durationMs: number;
  readonly scheduleOffset: number;
  readonly probeCount: number;
  /** Its subscription's own schedule, and whether it has strict order. */
  readonly retrySchedule: string | null;
  readonly strict: boolean;
  /** Something may wait for its end: its key, or a place among `max_in_flight`. */
  readonly awaited: boolean;
}

/** The columns of an `EndedLease`, of the query `ended`, with the delivery, which may be gone. */
const endedIn = ({ where }: HistoryOfIds) => `
        select ended.subscription_id as "subscriptionId", ended.webhook_id::text as "webhookId", ended.token,
          ended.attempt_number as "attemptNumber", ended.attempt_number - 1 as "attemptCount",
          ended.duration_ms as "durationMs", coalesce(d.schedule_offset, 0) as "scheduleOffset",
          d.probe_count as "probeCount", s.retry_schedule as "retrySchedule", s.ordering = 'strict' as strict,
          s.ordering = 'strict' or s.max_in_flight is not null as awaited
        from ended
        -- The offset makes each a look-up by its key, whatever the planner expects.
        cross join lateral (
          select d.schedule_offset, d.probe_count
          from posthorn.deliveries d
          where d.webhook_id = ended.webhook_id and d.subscription_id = ended.subscription_id and ${where('d.webhook_id')}
          offset 0) as d
        cross join lateral (
          select s.retry_schedule, s.ordering, s.max_in_flight
          from posthorn.subscriptions s
          where s.id = ended.subscription_id
          offset 0) as s`;

/** Names leases by their webhooks and tokens: the nth token is that of the nth webhook. */
export interface LeaseKeys {
  readonly webhooks: readonly string[];
  readonly tokens: readonly number[];
}

/**
 * Ends leases of a subscription. Whoever ends a lease has to record its attempt in the same transaction, unless it is
 * given back.
 *
 * @throws an error with the SQLSTATE PH002 if the tenant moves: its leases are ended in its new database.
 */
export async function endLeases(
  client: Pick<pg.ClientBase, 'query'>,
  subscriptionId: number,
  { webhooks, tokens }: LeaseKeys,
): Promise<EndedLease[]> {
  if (webhooks.length === 0) return [];
  const days = historyOf(webhooks);
  const { rows } = await client.query<EndedLease>({
    ...days.named('end-leases'),
    text: `
      with given as materialized (
        -- In the order of ids, so that two acknowledgements of the same leases do not wait for each other.
        select l.subscription_id, l.webhook_id
        from posthorn.leases l
        join unnest($2::uuid[], $3::integer[]) as k (webhook_id, token)
          on k.webhook_id = l.webhook_id and k.token = l.token
        where l.subscription_id = $1 and (select posthorn.require_open_subscriptions(array[$1::integer]))
        order by l.webhook_id
        for update of l
      ), ended as (
        delete from posthorn.leases l using given
        where l.subscription_id = given.subscription_id and l.webhook_id = given.webhook_id
        returning l.*, round(extract(epoch from clock_timestamp() - l.leased_at) * 1000)::integer as duration_ms
      )
      ${endedIn(days)}`,
    values: [subscriptionId, plainArray(webhooks), plainArray(tokens)],
  });
  return rows;
}

/** Ends leases whose time is over, of all subscriptions: at most `most`. */
export async function endOverdueLeases(
  client: Pick<pg.ClientBase, 'query'>,
  most: number,
): Promise<EndedLease[]> {
  const { rows: overdue } = await client.query<{ subscription_id: number; webhook_id: string }>({
    name: 'lock-overdue-leases',
    text: `
      select subscription_id, webhook_id
      from posthorn.leases
      where ends_at <= now()
      order by ends_at
      limit $1
      for update skip locked`,
    values: [most],
  });
  if (overdue.length === 0) return [];
  const webhooks = overdue.map(({ webhook_id }) => webhook_id);
  const days = historyOf(webhooks);
  const { rows } = await client.query<EndedLease>({
    ...days.named('end-overdue-leases'),
    text: `
      with ended as (
        delete from posthorn.leases l
        using unnest($1::integer[], $2::uuid[]) as overdue (subscription_id, webhook_id)
        where l.subscription_id = overdue.subscription_id and l.webhook_id = overdue.webhook_id
        returning l.*, round(extract(epoch from l.ends_at - l.leased_at) * 1000)::integer as duration_ms
      )
      ${endedIn(days)}`,
    values: [
      plainArray(overdue.map(({ subscription_id }) => subscription_id)),
      plainArray(webhooks),
    ],
  });
  return rows;
}

/** The channel on which lease_deliveries notifies workers, every ten seconds at most, that somebody pulls. */
export const PULLS = 'posthorn_pulled';

/** Returns whether there are leases, and whether the time of some is over, by one look-up. */
export async function lookAtLeases(pool: pg.Pool): Promise<{ some: boolean; overdue: boolean }> {
  const { rows } = await pool.query<{ overdue: boolean }>({
    name: 'look-at-leases',
    text: 'select ends_at <= now() as overdue from posthorn.leases order by ends_at limit 1',
  });
  return { some: rows.length > 0, overdue: rows[0]?.overdue === true };
}

/**
 * Returns which of these leases have been acknowledged before, by the keys `webhook token`. An attempt has the token of
 * its lease.
 */
export async function findAcknowledged(
  client: Pick<pg.ClientBase, 'query'>,
  subscriptionId: number,
  { webhooks, tokens }: LeaseKeys,
): Promise<Set<string>> {
  if (webhooks.length === 0) return new Set();
  const days = historyOf(webhooks);
  const { rows } = await client.query<{ key: string }>({
    ...days.named('find-acknowledged'),
    text: `
      select k.webhook_id::text || ' ' || k.token as key
      from unnest($2::uuid[], $3::integer[]) as k (webhook_id, token)
      join posthorn.delivery_attempts a on a.webhook_id = k.webhook_id and a.subscription_id = $1 and a.token = k.token
      where a.webhook_id between $4 and $5 and ${days.where('a.webhook_id')}
        and a.error_code is distinct from 'lease_ended'`,
    values: [subscriptionId, plainArray(webhooks), plainArray(tokens), ...bounds(webhooks)],
  });
  return new Set(rows.map(({ key }) => key));
}

/** Tells all processes that receivers of these subscriptions may get more: they wake one that waits. */
export async function tellPullers(
  client: Pick<pg.ClientBase, 'query'>,
  subscriptionIds: readonly number[],
): Promise<void> {
  if (subscriptionIds.length === 0) return;
  await client.query({
    name: 'tell-pullers',
    text: notifyOwners('unnest($1::integer[]) as s (subscription_id)'),
    values: [plainArray(subscriptionIds)],
  });
}
