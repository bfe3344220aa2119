-- RFC 9562 section 5.7. The function is the default of columns, so this file also sets these defaults.
--
-- The number of the transaction is assigned before the clock is read: posthorn.committed_before relies on it. CASE
-- keeps this order.
do $$
begin
  if current_setting('server_version_num')::integer >= 180000 then
    create or replace function posthorn.uuidv7() returns uuid
      language sql volatile parallel unsafe
      return case when pg_current_xact_id() is not null then pg_catalog.uuidv7() end;
  else
    -- 48 bits of milliseconds, the version, 12 bits of the millisecond's fraction (method 3 of section 6.2, so
    -- that ids of one backend ascend), then the variant and 62 random bits, which are the second half of a version 4
    -- UUID. 512 / 125 is 4.096: the milliseconds and their fraction are the microseconds in units of 1/4096 ms.
    --
    -- An expression without a query: Postgres puts it in the place of the call. With a query it started an executor for
    -- each id. *Measured* with Postgres 15, in one run: 3.1 µs of CPU an id, with a query 10.1.
    create or replace function posthorn.uuidv7() returns uuid
      language sql volatile parallel unsafe
      return (
        overlay(lpad(to_hex((date_part('epoch',
            case when pg_current_xact_id() is not null then clock_timestamp() end) * 1000000)::bigint * 512 / 125), 15, '0')
          placing '7' from 13 for 0)
        || substr(gen_random_uuid()::text, 20)
      )::uuid;
  end if;
end
$$;
comment on function posthorn.uuidv7() is
  'A new UUIDv7: from pg_catalog.uuidv7() since Postgres 18, before that computed here.';
revoke execute on function posthorn.uuidv7 from public;

alter table posthorn.webhook_payloads alter column id set default posthorn.uuidv7();
alter table posthorn.tasks alter column id set default posthorn.uuidv7();
