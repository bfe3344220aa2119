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
    -- that ids of one backend ascend), then the variant and 62 random bits taken from the second half of a
    -- version 4 UUID.
    create or replace function posthorn.uuidv7() returns uuid
      language sql volatile parallel unsafe
      begin atomic
        select (
          lpad(to_hex(micros / 1000), 12, '0')
          || '7' || lpad(to_hex((micros % 1000) * 4096 / 1000), 3, '0')
          || substr(replace(gen_random_uuid()::text, '-', ''), 17)
        )::uuid
        from (
          select floor(extract(epoch from
            case when pg_current_xact_id() is not null then clock_timestamp() end) * 1000000)::bigint as micros
        ) as clock;
      end;
  end if;
end
$$;
comment on function posthorn.uuidv7() is
  'A new UUIDv7: from pg_catalog.uuidv7() since Postgres 18, before that computed here.';
revoke execute on function posthorn.uuidv7 from public;

alter table posthorn.webhook_payloads alter column id set default posthorn.uuidv7();
alter table posthorn.tasks alter column id set default posthorn.uuidv7();
