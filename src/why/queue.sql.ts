import type pg from 'pg';
import { readLiveHistory } from '../db/live-history.ts';

/** Older held deliveries that are counted at most. */
const MAX_COUNTED = 10_000;
/** The oldest held deliveries, and those just before this one, among which the ordering key is looked for. */
const MAX_SEARCHED = 2_000;

/** The place of a held delivery in the backlog of its subscription. */
export interface Queue {
  /** How many older deliveries are held, counted up to 10,000. */
  readonly ahead: number;
  /** More are held than `ahead` says. */
  readonly aheadMore: boolean;
  /** With strict order: the delivery of the same ordering key that goes first; null: none was found. */
  readonly behind: Blocker | null;
  /** False: not all older deliveries were looked through. */
  readonly complete: boolean;
}

/** A delivery that others of its ordering key wait for. */
export interface Blocker {
  readonly webhookId: string;
  readonly attemptCount: number;
  readonly dueAt: Date | null;
}

/**
 * Reads the place of a held delivery. It reads up to 10,001 entries of the index `deliveries_held`, and with strict
 * order the keys of up to 4,000 payloads: the oldest of them, which hold their keys up, and those just before the
 * delivery. *Measured*: 20 to 30 ms behind 150,000, on a busy machine.
 *
 * @param key the ordering key; null is a key too.
 */
export async function readQueue(
  pool: pg.Pool,
  webhookId: string,
  subscriptionId: number,
  strict: boolean,
  key: string | null,
): Promise<Queue> {
  const live = await readLiveHistory(pool);
  const older = (direction: 'asc' | 'desc', limit: string) => `
    select d.webhook_id, d.attempt_count, d.next_attempt_at
    from posthorn.deliveries d
    where d.subscription_id = $2 and d.state = 'held' and d.webhook_id < $1 and ${live.where('d.webhook_id')}
    order by d.webhook_id ${direction}
    limit ${limit}`;
  const ofKey = (direction: 'asc' | 'desc') => `
    select o.*
    from (${older(direction, `case when $3 then ${MAX_SEARCHED} else 0 end`)}) as o
    join posthorn.webhook_payloads p on p.id = o.webhook_id and ${live.where('p.id')}
    where p.ordering_key is not distinct from $4
    order by o.webhook_id
    limit 1`;
  const { rows } = await pool.query<{
    counted: number;
    webhook_id: string | null;
    attempt_count: number;
    next_attempt_at: Date | null;
  }>({
    name: `place-in-backlog ${live.key}`,
    text: `
      select (select count(*) from (${older('asc', String(MAX_COUNTED + 1))}) as o)::integer as counted, b.*
      from (select) as one
      left join lateral (
        select * from ((${ofKey('asc')}) union all (${ofKey('desc')})) as found
        order by webhook_id
        limit 1
      ) as b on true`,
    values: [webhookId, subscriptionId, strict, key],
  });
  const {
    counted = 0,
    webhook_id = null,
    attempt_count = 0,
    next_attempt_at = null,
  } = rows[0] ?? {};
  return {
    ahead: Math.min(counted, MAX_COUNTED),
    aheadMore: counted > MAX_COUNTED,
    behind:
      webhook_id === null
        ? null
        : { webhookId: webhook_id, attemptCount: attempt_count, dueAt: next_attempt_at },
    complete: counted <= 2 * MAX_SEARCHED,
  };
}
