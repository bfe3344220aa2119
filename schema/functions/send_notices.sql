-- Notices are for people, so there are few: one when a subscription begins to fail, one when it is disabled, and one
-- when it is well again for ten minutes. A receiver that fails, recovers and fails again in that time is one incident.
-- The row of the subscription is locked, so two reports about it come here one after the other.
create or replace function posthorn.send_notices(
  -- failing, disabled or recovered.
  what text,
  id integer,
  reason text,
  circuit posthorn.circuits
) returns void
  language plpgsql
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  most_an_hour constant integer := 20;
  most_targets constant integer := 20;
  well_for constant interval := interval '10 minutes';
  event_type constant text := 'posthorn.subscription.' || what;
  about posthorn.subscriptions;
  last posthorn.notices;
  targets integer[];
  many integer;
  in_last_hour integer;
  subject text;
  said text;
  bodies bytea[];
  starts integer[] := '{}';
  start integer := 0;
  ids uuid[];
  due constant timestamptz := case what when 'recovered' then now() + well_for else now() end;
begin
  select * from posthorn.subscriptions s where s.id = send_notices.id into about;
  targets := array(
    select s.id from posthorn.subscriptions s
    where s.id = any (posthorn.matching_subscriptions(about.tenant, event_type, '{posthorn.notices}'))
      and s.format = 'notice' and s.status <> 'disabled' and s.deleted_at is null and s.id <> about.id
    order by s.id limit most_targets);
  select * from posthorn.notices n where n.subscription_id = about.id order by n.id desc limit 1 into last;

  -- The notice that it is well has not been sent yet: it is not well, and the incident goes on.
  if last.what = 'recovered' and last.due_at > now() then
    perform posthorn.cancel_deliveries(last.webhooks, last.targets);
    delete from posthorn.notices n where n.id = last.id;
    if what = 'failing' then
      return;
    end if;
  elsif what = 'recovered' and last.what is distinct from 'failing' then
    return;
  end if;
  if targets = '{}' then
    return;
  end if;

  -- Notices that end an incident are always sent: there is one for each notice that began one.
  if what <> 'recovered' then
    select count(*) from posthorn.notices n
      where n.tenant = about.tenant and n.at > now() - interval '1 hour' and n.what <> 'recovered'
      into in_last_hour;
    if in_last_hour >= most_an_hour then
      return;
    end if;
  end if;

  subject := format(
    case what
      when 'failing' then 'Webhooks to %s fail'
      when 'disabled' then 'Webhooks to %s are disabled'
      else 'Webhooks to %s are delivered again'
    end,
    coalesce(substring(about.url from '^https?://([^/?#]+)'), about.url));
  said := concat_ws(E'\n',
    format('%s (subscription %s of the tenant %s).', subject, about.id, about.tenant),
    'Reason: ' || left(reason, 500),
    'Failing since: ' || to_char(circuit.failing_since, 'YYYY-MM-DD HH24:MI:SS "UTC"'),
    case what
      when 'failing' then 'Its deliveries are held and sent when the receiver answers again. You are told when that is so.'
      when 'disabled' then format('Its deliveries are held until somebody enables it: POST /v1/subscriptions/%s/enable', about.id)
    end,
    case when in_last_hour = most_an_hour - 1
      then format('This is notice %s of the last hour for this tenant: further ones are left out.', most_an_hour) end);

  -- In Slack, < begins links and mentions, and & characters by their names; mail is plain text.
  bodies := array(
    select convert_to(
      case when s.url like 'mailto:%' then jsonb_build_object('subject', subject, 'text', said)
        else jsonb_build_object('text', replace(replace(replace(said, '&', '&amp;'), '<', '&lt;'), '>', '&gt;'))
      end::text, 'UTF8')
    from unnest(targets) with ordinality as o (target, nth)
    join posthorn.subscriptions s on s.id = o.target
    order by o.nth);
  many := cardinality(targets);
  for nth in 1 .. many loop
    starts := starts || start;
    start := start + octet_length(bodies[nth]);
  end loop;
  select a.ids from posthorn.accept(
      (select string_agg(o.body, '' order by o.nth) from unnest(bodies) with ordinality as o (body, nth)),
      starts,
      array(select octet_length(o.body) from unnest(bodies) with ordinality as o (body, nth) order by o.nth),
      array_fill('application/json'::text, array[many]),
      targets,
      array_fill(about.tenant, array[many]),
      array_fill(event_type, array[many]),
      deliver_ats => case when what = 'recovered' then array_fill(due, array[many]) end) as a
    into ids;
  insert into posthorn.notices (tenant, subscription_id, what, due_at, webhooks, targets)
  values (about.tenant, about.id, what, due, ids, targets);
end
$$;
comment on function posthorn.send_notices is
  'Sends notices about a subscription to the subscriptions of its tenant that are for people, in the caller''s transaction: one for each incident, and 20 in an hour at most.';
revoke execute on function posthorn.send_notices from public;
