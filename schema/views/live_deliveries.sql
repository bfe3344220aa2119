-- Of all days, until posthorn.write_live_views writes it again.
create or replace view posthorn.live_deliveries as select * from posthorn.deliveries;
comment on view posthorn.live_deliveries is 'See posthorn.write_live_views.';
