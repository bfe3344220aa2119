import type pg from 'pg';
import {
  ADD_TO_KNOWN,
  ATTEMPTS,
  COUNTS,
  COUNTS_OF_ACCEPTED,
  COUNTS_OF_ATTEMPTS,
  COUNTS_OF_CLASS,
  DURATION_CLASSES,
  rowOfClasses,
  sums,
} from '../history/count-rows.sql.ts';
import type { Sides } from './copy-history.ts';
import { copyRows } from './copy-rows.ts';
import { whileClosed } from './mover.ts';

/**
 * Gives the target the counts of a tenant, exactly: those of the source, and for the time between the two databases'
 * progress what the copied rows say. The target itself counts all that is later, also of copied rows.
 *
 * All history must have been copied, and nothing may change it any more.
 */
export async function copyCounts({ source, target }: Sides, tenant: string): Promise<void> {
  await whileClosed(target, tenant, async (to) => {
    // The target's workers pass over their counting while this has the row.
    const theirs = await countedUntil(to, 'for update');
    const ours = await copyKnown(source, to, tenant);
    await to.query('delete from posthorn.counts_by_minute where tenant = $1 and minute >= $2', [
      tenant,
      theirs,
    ]);
    const [since, until] = ours < theirs ? [ours, theirs] : [theirs, ours];
    if (ours < theirs) await to.query(ADD_MINUTES, [tenant, since, until, CLASSES]);
    await to.query(addHours(ours < theirs ? '' : '-'), [tenant, since, until, CLASSES]);
    await to.query(
      `delete from posthorn.counts_by_hour where tenant = $1 and accepted <= 0 and ${ATTEMPTS} <= 0`,
      [tenant],
    );
  });
}

/** Replaces the target's counts of the tenant by those of the source. Returns up to when they count. */
async function copyKnown(source: pg.Pool, to: pg.ClientBase, tenant: string): Promise<Date> {
  const from = await source.connect();
  try {
    await from.query('begin isolation level repeatable read read only');
    const until = await countedUntil(from);
    for (const name of ['counts_by_minute', 'counts_by_hour']) {
      await to.query(`delete from posthorn.${name} where tenant = $1`, [tenant]);
      await copyRows(from, to, tenant, { name });
    }
    await from.query('commit');
    from.release();
    return until;
  } catch (error) {
    from.release(true);
    throw error;
  }
}

async function countedUntil(client: pg.ClientBase, lock = ''): Promise<Date> {
  const { rows } = await client.query<{ counted_until: Date }>(
    `select counted_until from posthorn.counting ${lock}`,
  );
  return (rows[0] as { counted_until: Date }).counted_until;
}

const CLASSES = `{${DURATION_CLASSES.join(',')}}`;

/** Counts the attempts and webhooks from the time $2 until before $3, in the same way as history/count.sql.ts. */
const HAPPENED = `
  attempts as materialized (
    select a.subscription_id, date_trunc('minute', a.at, 'UTC') as minute,
      width_bucket(a.duration_ms, $4::integer[])::smallint as duration_class, ${COUNTS_OF_ATTEMPTS}
    from (select id from posthorn.subscriptions where tenant = $1) s
    join posthorn.delivery_attempts a on a.subscription_id = s.id
    where a.at >= $2 and a.at < $3
    group by 1, 2, 3
  ), webhooks as materialized (
    select id from posthorn.webhook_payloads
    where tenant = $1 and tenant <> 'default'
      and id >= posthorn.uuidv7_floor($2) and id < posthorn.uuidv7_floor($3)
  ), of_tenant as materialized (
    select minute, duration_class, ${sums()} from attempts group by 1, 2
    union all
    select date_trunc('minute', posthorn.uuidv7_time(id), 'UTC'), ${COUNTS_OF_ACCEPTED} from webhooks group by 1
  )`;

const ADD_MINUTES = `
  with ${HAPPENED}
  insert into posthorn.counts_by_minute (tenant, minute, ${COUNTS})
  select $1, c.* from (${rowOfClasses('minute', 'of_tenant')}) as c`;

/** Adds to the counts of hours, or with `-` takes away from them. */
const addHours = (sign: '' | '-') => `
  with ${HAPPENED}, classes as materialized (
    select subscription_id, date_trunc('hour', time, 'UTC') as hour, duration_class, ${sums(sign)}
    from (
      select 0 as subscription_id, minute as time, ${COUNTS_OF_CLASS} from of_tenant
      union all
      select subscription_id, minute, ${COUNTS_OF_CLASS} from attempts
      union all
      select d.subscription_id, date_trunc('hour', posthorn.uuidv7_time(d.webhook_id), 'UTC'), ${COUNTS_OF_ACCEPTED}
      from webhooks w
      join posthorn.deliveries d on d.webhook_id = w.id
        and d.webhook_id >= posthorn.uuidv7_floor($2) and d.webhook_id < posthorn.uuidv7_floor($3)
      group by 1, 2
    ) as happened
    group by 1, 2, 3
  )
  insert into posthorn.counts_by_hour as known (tenant, subscription_id, hour, ${COUNTS})
  select $1, c.* from (${rowOfClasses('subscription_id, hour', 'classes')}) as c
  on conflict (tenant, subscription_id, hour) do update set ${ADD_TO_KNOWN}`;
