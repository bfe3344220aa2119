-- Of all days, until posthorn.write_live_views writes it again.
create or replace view posthorn.attempts_of_month as select * from posthorn.delivery_attempts;
comment on view posthorn.attempts_of_month is 'See posthorn.write_live_views.';
