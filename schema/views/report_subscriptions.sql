create or replace view posthorn.report_subscriptions as
select id, posthorn.redact_url(url) as subscription_url, tenant from posthorn.subscriptions;
comment on view posthorn.report_subscriptions is 'The subscriptions of all tenants, deleted ones too. For deliveries_between.';
