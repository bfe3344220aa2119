-- Of all days, until posthorn.write_live_views writes it again.
create or replace view posthorn.attempts_of_day as select * from posthorn.delivery_attempts;
comment on view posthorn.attempts_of_day is 'See posthorn.write_live_views.';
