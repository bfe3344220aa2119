-- Without settings and with the rights of its caller, Postgres puts the query in the place of the call. So further
-- conditions use indexes, and both bounds leave out partitions of other days, also in a plan that is kept.
--
-- A column that delivery_report gets needs a change of this file too, so that it is applied again.
create or replace function posthorn.deliveries_between(since timestamptz, until timestamptz, tenant text default null)
  returns setof posthorn.delivery_report
  language sql stable parallel safe
begin atomic
  select r.*
  from posthorn.delivery_report r
  where r.webhook_id >= posthorn.uuidv7_floor(since) and r.webhook_id < posthorn.uuidv7_floor(until)
    and (deliveries_between.tenant is null or r.tenant = deliveries_between.tenant);
end;
comment on function posthorn.deliveries_between is
  'The rows of delivery_report of webhooks that were accepted from since on and before until, of one tenant or of all. It reads only the days of that period.';
revoke execute on function posthorn.deliveries_between from public;
