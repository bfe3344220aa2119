-- It shows all days until posthorn.write_live_views replaces it by a view of fewer days, which has the same columns.
-- The comment is as that writes it, so that a new database is not written to for nothing.
create or replace view posthorn.attempts_of_month as
select webhook_id, subscription_id, at, status, error_code, error from posthorn.delivery_attempts;
comment on view posthorn.attempts_of_month is 'Attempts of days with attempts of the last month: (true)';
