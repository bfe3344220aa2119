import type pg from 'pg';
import { plainArray } from '../db/arrays.ts';
import { historyIn, type LiveHistory, readLiveHistory } from '../db/live-history.ts';
import type { DeliveryState } from '../db/types.ts';
import type { DeliveryKeys } from '../deliveries/load.sql.ts';

/** Deliveries that a batch examines at most. */
export const BATCH_SCAN = 5_000;
/** Deliveries that a batch changes at most. */
export const BATCH_CHANGES = 1_000;
/** A batch reads so many quiet partitions at most: Postgres plans and locks all of the time that a task is about. */
const BATCH_PARTITIONS = 16;

type Client = Pick<pg.ClientBase, 'query'>;

/** The columns of a task that its batches need. Cursors are text, since a Date has no microseconds. */
export interface TaskRow {
  readonly tenant: string;
  readonly subscription_id: number | null;
  readonly since_id: string;
  readonly until_id: string;
  readonly states: DeliveryState[];
  readonly event_types: string[] | null;
  readonly cursor_at: string | null;
  readonly cursor_webhook: string | null;
  readonly cursor_subscription: number | null;
}

/** The position of a task: the delivery after which its next batch begins. */
export interface Cursor {
  readonly cursor_at: string | null;
  readonly cursor_webhook: string | null;
  readonly cursor_subscription: number | null;
}

/** The next deliveries of a task. */
export interface Chosen extends DeliveryKeys {
  readonly examined: number;
  /** Where the next batch begins; null when this was the last. */
  readonly cursor: Cursor | null;
}

/**
 * SQL that chooses the scanned rows that match, at most $2, and the end of the batch: the last row
 * chosen if there were $2, or else the last row scanned.
 */
const choose = ({ where }: LiveHistory) => `
  chosen as materialized (
    select r.*
    from scanned r
    join posthorn.subscriptions s on s.id = r.subscription_id
    where r.state = any($3::posthorn.delivery_state[]) and s.tenant = $4
      and ($6::text[] is null or exists (
        select from posthorn.webhook_payloads p
        where p.id = r.webhook_id and ${where('p.id')} and posthorn.event_type_patterns(p.event_type) && $6))
    order by r.n
    limit $2
  ), stop as materialized (
    select case when count(*) >= $2 then max(n) else (select max(n) from scanned) end as n,
      count(*) < $2 and (select count(*) from scanned) < $1 as ended
    from chosen
  )
  select
    coalesce((select array_agg(webhook_id::text order by n) from chosen), '{}') as webhooks,
    coalesce((select array_agg(subscription_id order by n) from chosen), '{}') as subscriptions,
    coalesce(stop.n, 0)::integer as examined,
    stop.ended,
    last.next_attempt_at::text as cursor_at,
    last.webhook_id::text as cursor_webhook,
    last.subscription_id as cursor_subscription
  from stop
  left join scanned last on last.n = stop.n`;

interface ChosenRow extends Cursor {
  webhooks: string[];
  subscriptions: number[];
  examined: number;
  ended: boolean;
}

/**
 * Chooses the next deliveries of a subscription that have ended, in the order of their ids. It scans an
 * index over all states, since most of history has ended. A part of a long time is read to its end by one batch, and the
 * next batch begins there.
 */
export async function chooseEnded(client: Client, task: TaskRow, limit: number): Promise<Chosen> {
  const from = task.cursor_webhook ?? task.since_id;
  const end = await endOfPart(client, from);
  const isLast = end === null || end >= task.until_id;
  const below = isLast ? task.until_id : end;
  const span = historyIn([{ from, below }]);
  const { rows } = await client.query<ChosenRow>(
    `with scanned as materialized (
       select read.*, row_number() over (order by webhook_id) as n
       from (
         select d.webhook_id, d.subscription_id, d.state, null::timestamptz as next_attempt_at
         from posthorn.deliveries d
         where d.subscription_id = $5 and d.webhook_id > $7 and d.webhook_id < $8 and ${span.where('d.webhook_id')}
         order by d.webhook_id
         limit $1
       ) as read
     ), ${choose(span)}`,
    [
      BATCH_SCAN,
      Math.min(limit, BATCH_CHANGES),
      plainArray(task.states),
      task.tenant,
      task.subscription_id,
      task.event_types,
      from,
      below,
    ],
  );
  const chosen = read(rows[0] as ChosenRow);
  if (isLast || chosen.cursor !== null) return chosen;
  return {
    ...chosen,
    cursor: { cursor_at: null, cursor_webhook: below, cursor_subscription: null },
  };
}

/** Returns where the partitions that a batch reads end, as the least id after them; null: it may read all that follow. */
async function endOfPart(client: Client, from: string): Promise<string | null> {
  const { rows } = await client.query<{ id: string }>(
    `select posthorn.uuidv7_floor(until_at)::text as id
     from posthorn.quiet_history
     where until_at > posthorn.uuidv7_time($1)
     order by from_at
     offset ${BATCH_PARTITIONS - 1} limit 1`,
    [from],
  );
  return rows[0]?.id ?? null;
}

/**
 * Chooses the next owed deliveries, in the order in which they are due: only owed ones are read, for any
 * length of history. A delivery that is tried meanwhile is due later, and so is met again. The index contains the
 * subscription: deliveries of other subscriptions are passed over within the index, without reading their rows.
 */
export async function chooseOwed(client: Client, task: TaskRow, limit: number): Promise<Chosen> {
  const live = await readLiveHistory(client);
  const { rows } = await client.query<ChosenRow>(
    `with scanned as materialized (
       select read.*, row_number() over (order by next_attempt_at, webhook_id, subscription_id) as n
       from (
         select d.webhook_id, d.subscription_id, d.state, d.next_attempt_at
         from posthorn.deliveries d
         where d.state in ('pending', 'held')
           and ($5::integer is null or d.subscription_id = $5)
           and d.webhook_id >= $7 and d.webhook_id < $8 and ${live.where('d.webhook_id')}
           and (d.next_attempt_at, d.webhook_id, d.subscription_id) > ($9::timestamptz, $10::uuid, $11::integer)
         order by d.next_attempt_at, d.webhook_id, d.subscription_id
         limit $1
       ) as read
     ), ${choose(live)}`,
    [
      BATCH_SCAN,
      Math.min(limit, BATCH_CHANGES),
      plainArray(task.states),
      task.tenant,
      task.subscription_id,
      task.event_types,
      task.since_id,
      task.until_id,
      task.cursor_at ?? '-infinity',
      task.cursor_webhook ?? task.since_id,
      task.cursor_subscription ?? 0,
    ],
  );
  return read(rows[0] as ChosenRow);
}

function read({ webhooks, subscriptions, examined, ended, ...cursor }: ChosenRow): Chosen {
  return { webhooks, subscriptions, examined, cursor: ended ? null : cursor };
}
