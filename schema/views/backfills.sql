create or replace view posthorn.backfills with (security_invoker = true) as
select
  b.id, b.watch, b.rel, b.condition as "where", b.per_second, b.state, b.rows_sent,
  -- From 0 to 1.
  case
    when b.state = 'succeeded' or b.blocks = 0 then 1
    else least(1, round(b.blocks_read::numeric / b.blocks, 3))
  end::double precision as progress,
  b.created_at, b.ended_at, b.error,
  -- Otherwise a session of the table's owner calls posthorn.send_backfill.
  coalesce((select pg_has_role(r.oid, n.nspowner, 'usage') from pg_roles r where r.rolname = b.owner), false) as sent_by_workers
from posthorn.backfill_runs b
cross join pg_namespace n
where n.nspname = 'posthorn';
comment on view posthorn.backfills is
  'A row for each backfill of a watched table, with its state and progress.';
