-- It shows all days until posthorn.write_live_views replaces it by a view of fewer days, which has the same columns.
-- The comment is as that writes it, so that a new database is not written to for nothing.
create or replace view posthorn.pullable_payloads as
select id, event_type, ordering_key, body from posthorn.webhook_payloads;
comment on view posthorn.pullable_payloads is 'Webhooks of days on which some deliveries may be held: (true)';
