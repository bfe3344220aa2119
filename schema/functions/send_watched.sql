-- The triggers of a watch call it with the rights of the table's owner. It runs with those of Posthorn's owner, because
-- it stores webhooks of one type itself: as json, whose text is stored as it is. For posthorn.send_many they would be
-- jsonb, which costs 6 µs a row more. check_sending decides who may send, here and there.
create or replace function posthorn.send_watched(
  watch integer,
  event_types text[],
  data json[],
  ordering_keys text[],
  -- The tenant of each webhook, for a watch with a tenant column; otherwise `tenant` is the tenant of all.
  tenants text[],
  tenant text,
  -- Whether webhooks that cannot be sent are counted, instead of raising an error.
  skips boolean
) returns void
  language plpgsql security definer
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
  set default_tablespace = '' set default_table_access_method = heap
as $$
declare
  many constant integer := cardinality(event_types);
  part record;
begin
  if tenant is null then
    for part in
      select w.tenant, array_agg(w.event_type order by w.n) as event_types, array_agg(w.item order by w.n) as data,
          array_agg(w.key order by w.n) as keys
        from unnest(event_types, data, ordering_keys, tenants) with ordinality as w (event_type, item, key, tenant, n)
        group by w.tenant
    loop
      if part.tenant is not null then
        perform posthorn.send_watched(watch, part.event_types, part.data, part.keys, null, part.tenant, skips);
      elsif skips then
        perform posthorn.note_watch_failure(watch, cardinality(part.data), 'the tenant column of the row is null');
      else
        raise exception 'the tenant column of the row is null' using errcode = 'null_value_not_allowed',
          hint = 'Leave such rows out with the condition of the watch, or give the column a value.';
      end if;
    end loop;
  elsif skips then
    begin
      perform posthorn.send_watched(watch, event_types, data, ordering_keys, null, tenant, false);
    exception
      when serialization_failure or deadlock_detected then
        raise;
      when others then
        if many = 1 then
          perform posthorn.note_watch_failure(watch, 1, sqlerrm);
        else
          for nth in 1 .. many loop
            perform posthorn.send_watched(watch, event_types[nth:nth], data[nth:nth], ordering_keys[nth:nth], null, tenant, true);
          end loop;
        end if;
    end;
  elsif many = 1 then
    perform posthorn.send(event_types[1], data[1]::jsonb, tenant, null, ordering_keys[1]);
  elsif event_types[1] = all (event_types)
    and posthorn.store_webhooks(event_types[1], data::text[], tenant, null, ordering_keys,
      posthorn.check_sending(array[event_types[1]], tenant, null, ordering_keys, null, null)) is not null then
    null;
  else
    perform posthorn.send_many(event_types, data::jsonb[], tenant, null, ordering_keys);
  end if;
end
$$;
comment on function posthorn.send_watched is
  'Sends webhooks of a watch in the caller''s transaction.';
revoke execute on function posthorn.send_watched from public;
