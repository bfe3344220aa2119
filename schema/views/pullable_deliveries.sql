-- It shows all days until posthorn.write_live_views replaces it by a view of fewer days, which has the same columns.
-- The comment is as that writes it, so that a new database is not written to for nothing.
create or replace view posthorn.pullable_deliveries as
select webhook_id, subscription_id, state, attempt_count, next_attempt_at from posthorn.deliveries;
comment on view posthorn.pullable_deliveries is 'Deliveries of days on which some may be held: (true)';
