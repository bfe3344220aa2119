import type pg from 'pg';
import { DURATION_CLASSES } from '../history/count.sql.ts';
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
    const from = await source.connect();
    try {
      await from.query('begin isolation level repeatable read read only');
      const ours = await countedUntil(from);
      for (const name of ['counts_by_minute', 'counts_by_hour']) {
        await to.query(`delete from posthorn.${name} where tenant = $1`, [tenant]);
        await copyRows(from, to, tenant, { name });
      }
      await from.query('commit');
      from.release();
      await to.query(`delete from posthorn.counts_by_minute where tenant = $1 and minute >= $2`, [
        tenant,
        theirs,
      ]);
      const [since, until] = ours < theirs ? [ours, theirs] : [theirs, ours];
      if (ours < theirs) await to.query(ADD_MINUTES, [tenant, since, until, CLASSES]);
      await to.query(ADD_HOURS, [tenant, since, until, CLASSES, ours < theirs ? 1 : -1]);
      await to.query('delete from posthorn.counts_by_hour where tenant = $1 and number <= 0', [
        tenant,
      ]);
    } catch (error) {
      from.release(true);
      throw error;
    }
  });
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
    select a.subscription_id, date_trunc('minute', a.at, 'UTC') as minute, a.status::text as metric,
      width_bucket(a.duration_ms, $4::integer[]) as duration_class, count(*) as number
    from posthorn.subscriptions s
    join posthorn.delivery_attempts a on a.subscription_id = s.id
    where s.tenant = $1 and a.at >= $2 and a.at < $3
    group by 1, 2, 3, 4
  ), webhooks as materialized (
    select id from posthorn.webhook_payloads
    where tenant = $1 and tenant <> 'default'
      and id >= posthorn.uuidv7_floor($2) and id < posthorn.uuidv7_floor($3)
  ), of_tenant as materialized (
    select minute, metric, duration_class, sum(number)::bigint as number from attempts group by 1, 2, 3
    union all
    select date_trunc('minute', posthorn.uuidv7_time(id), 'UTC'), 'accepted', 0, count(*) from webhooks group by 1
  )`;

const ADD_MINUTES = `
  with ${HAPPENED}
  insert into posthorn.counts_by_minute (tenant, minute, metric, duration_class, number)
  select $1, minute, metric, duration_class, number from of_tenant`;

/** $5 is 1, or -1 to take away. */
const ADD_HOURS = `
  with ${HAPPENED}
  insert into posthorn.counts_by_hour as known (tenant, subscription_id, hour, metric, duration_class, number)
  select $1, subscription_id, hour, metric, duration_class, $5 * sum(number)::bigint
  from (
    select 0 as subscription_id, date_trunc('hour', minute, 'UTC') as hour, metric, duration_class, number from of_tenant
    union all
    select subscription_id, date_trunc('hour', minute, 'UTC'), metric, duration_class, number from attempts
    union all
    select d.subscription_id, date_trunc('hour', posthorn.uuidv7_time(d.webhook_id), 'UTC'), 'accepted', 0, 1
    from webhooks w
    join posthorn.deliveries d on d.webhook_id = w.id
      and d.webhook_id >= posthorn.uuidv7_floor($2) and d.webhook_id < posthorn.uuidv7_floor($3)
  ) as h
  group by 2, 3, 4, 5
  on conflict (tenant, subscription_id, hour, metric, duration_class)
    do update set number = known.number + excluded.number`;
