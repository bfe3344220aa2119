-- An application turns notifications off with the setting posthorn.notify, because Postgres refuses to prepare a
-- transaction that has notified, and takes a lock on the whole server at the commit of each transaction that has.
-- The queue and the backlogs find such webhooks by polling. A value that means nothing counts as `on`: then
-- webhooks are sent as usual. Postgres puts the expression in the place of the call.
create or replace function posthorn.may_notify() returns boolean
  language sql stable parallel safe
  return (lower(current_setting('posthorn.notify', true)) in ('off', 'false', 'no', '0')) is not true;
comment on function posthorn.may_notify is
  'Whether functions that send may call NOTIFY: the setting posthorn.notify of the caller, on by default.';
revoke execute on function posthorn.may_notify from public;
