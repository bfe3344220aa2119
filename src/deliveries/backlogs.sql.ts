/** Notifies workers of subscriptions with held deliveries: ids with commas between. */
export const BACKLOG_CHANNEL = 'posthorn_backlogs';

/** A notification has at most 8,000 bytes, and each takes a lock of the whole server at commit. */
const MAX_NOTIFIED = 500;

/**
 * SQL that inserts or updates the rows in `backlogs` of subscriptions that get held deliveries, and returns
 * subscription_id. Also a row that is there is written, so that a deletion of it at the same time, of a
 * backlog that was empty, conflicts with this (`endBacklog` in backlog/ownership.sql.ts). All write in the
 * order of ids, so that none waits for another that waits for it.
 *
 * The trigger ensure_backlog only adds missing rows: there a lock until the end of the transaction would
 * delay holding, and the owner finds the backlog of such a subscription without its row too.
 *
 * @param from SQL that follows `from` and gives subscription_id.
 */
export function markBacklogs(from: string): string {
  return `
        insert into posthorn.backlogs (subscription_id)
        select distinct subscription_id from ${from} order by subscription_id
        on conflict (subscription_id) do update set added_at = clock_timestamp()
        returning subscription_id`;
}

/**
 * SQL that notifies the owners of backlogs: a row for each notification.
 *
 * @param from SQL that follows `from` and gives subscription_id.
 */
export function notifyOwners(from: string): string {
  return `
        select pg_notify('${BACKLOG_CHANNEL}', string_agg(subscription_id::text, ','))
        from (
          select subscription_id, row_number() over () / ${MAX_NOTIFIED} as part
          from (select distinct subscription_id from ${from}) as each
        ) as numbered
        group by part`;
}
