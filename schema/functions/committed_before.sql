-- The id of a webhook has the time at which it was sent, and its transaction may commit much later. posthorn.uuidv7 takes
-- the number of the transaction before it reads the clock. So a transaction whose number was assigned after a time
-- sends no webhook with an id below that time. The transactions that the snapshot of the calling statement does not see
-- have numbers from its xmin on (prepared transactions too), so a mark whose number is not above xmin gives such a
-- time.
--
-- While no transaction writes, no number from xmin on has been assigned, and that is as good as a mark. age() is the
-- distance from a number to the next one, which it reads after the start of the transaction. (The xmax of a snapshot
-- does not tell: numbers from there on may have been assigned.) A standby learns of numbers late, so it uses marks only.
--
-- The function must be stable: a volatile one would get a later snapshot than the statement that calls it. And now() is
-- before each snapshot of the transaction; the time of the statement is not, when rows of a cursor are fetched.
create or replace function posthorn.committed_before() returns uuid
  language plpgsql stable security definer parallel restricted
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  oldest constant xid8 := pg_snapshot_xmin(pg_current_snapshot());
  marked timestamptz;
begin
  select m.at from posthorn.commit_marks m where m.xid <= oldest order by m.xid desc limit 1 into marked;
  if age(oldest::xid) <= 0 and not pg_is_in_recovery() then
    marked := greatest(marked, now());
  end if;
  return posthorn.uuidv7_floor(coalesce(marked, '-infinity'));
end
$$;
comment on function posthorn.committed_before is
  'The id below which no webhook is committed any more: each webhook with a lower id is visible to the calling statement, or was rolled back.';
revoke execute on function posthorn.committed_before from public;
