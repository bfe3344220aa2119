-- psql -q "$DATABASE_URL" -f main.sql
\set ON_ERROR_STOP on

-- Stores the order and sends the webhook in one transaction: both happen, or neither.
begin;
insert into orders (customer, total) values ('Zoë', 1250)
  returning id, to_jsonb(orders) as new_order \gset
select posthorn.send('order.created', :'new_order') as webhook_id \gset
\echo order :id: webhook :webhook_id
commit;

-- This order is rolled back, and its webhook with it.
begin;
insert into orders (customer, total) values ('Zoë', 99000)
  returning id, to_jsonb(orders) as new_order \gset
select posthorn.send('order.created', :'new_order') as webhook_id \gset
\echo order :id: webhook :webhook_id
rollback;
\echo rolled back: payment declined
