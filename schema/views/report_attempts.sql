create or replace view posthorn.report_attempts as
select webhook_id, subscription_id, at, response_code, error from posthorn.delivery_attempts;
comment on view posthorn.report_attempts is 'Attempts without their subscriptions. For deliveries_between.';
