import type pg from 'pg';

/** If a watch has more than twice as many rows, its newest ones are kept, and the others become one row. */
export const KEPT_FAILURES = 100;

/**
 * Keeps the table of webhooks that watches could not send small, and its sums as they are: merges the older failures of
 * each watch into one row, and deletes those of watches that have ended. Writers add a row for each failure, because a
 * counter would make them wait for each other.
 */
export async function mergeWatchFailures(pool: Pick<pg.Pool, 'query'>): Promise<void> {
  await pool.query({
    name: 'merge-watch-failures',
    // Locked rows are of another process that merges them now.
    text: `
      with old as (
        select f.id
        from (
          select id, row_number() over (partition by watch order by id desc) as nth,
            count(*) over (partition by watch) as rows
          from posthorn.watch_failures) f
        where f.nth > ${KEPT_FAILURES} and f.rows > ${2 * KEPT_FAILURES}
      ), gone as (
        delete from posthorn.watch_failures
        where id in (
          select id from posthorn.watch_failures
          where id in (select id from old)
            or not exists (select from pg_proc p where p.proname = 'posthorn_watch_' || watch)
          for update skip locked)
        returning watch, at, webhooks, error
      )
      insert into posthorn.watch_failures (watch, at, webhooks, error)
      select watch, max(at), sum(webhooks), (array_agg(error order by at desc))[1]
      from gone
      where exists (select from pg_proc p where p.proname = 'posthorn_watch_' || watch)
      group by watch`,
  });
}
