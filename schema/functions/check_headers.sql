-- The rules are those of src/subscriptions/webhook-headers.ts; test/intake/headers.test.ts compares the two.
create or replace function posthorn.check_headers(headers jsonb) returns text
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  most constant integer := 20;
  most_bytes constant integer := 4096;
  reserved constant text[] := array['accept-encoding', 'authorization', 'connection', 'cookie', 'date', 'expect',
    'forwarded', 'host', 'http2-settings', 'keep-alive', 'proxy', 'set-cookie', 'te', 'trailer', 'transfer-encoding',
    'upgrade', 'user-agent', 'x-hub-signature-256', 'x-real-ip'];
  name text;
  value jsonb;
  read_as text;
  problem text;
  seen text[] := '{}';
  bytes integer := 0;
  checked jsonb := '{}';
begin
  if headers is null or headers in ('null', '{}') then
    return null;
  end if;
  if jsonb_typeof(headers) <> 'object' then
    raise exception 'the headers are a JSON %', jsonb_typeof(headers)
      using errcode = 'invalid_parameter_value', hint = 'Give an object of names and texts, such as {"X-Source": "billing"}.';
  end if;
  if (select count(*) from jsonb_object_keys(headers)) > most then
    raise exception 'there are % headers', (select count(*) from jsonb_object_keys(headers))
      using errcode = 'invalid_parameter_value', hint = format('At most %s headers are allowed.', most);
  end if;
  for name, value in select e.key, e.value from jsonb_each(headers) as e loop
    -- Receivers may read every character that is no letter or digit as `-`.
    read_as := regexp_replace(lower(left(name, 100) collate "C"), '[^a-z0-9]', '-', 'g');
    problem := case
      when length(name) > 100 then 'has a name of more than 100 characters'
      when name !~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]+$' then 'is not a header name; use letters, digits and -'
      when read_as = any (reserved) or read_as ~ '^(content|webhook|proxy|x-forwarded)-'
        then 'belongs to the connection, to the body, to Posthorn or to a proxy, or it has credentials; choose another name, such as X-Source'
      when jsonb_typeof(value) <> 'string' then 'has a value that is not text'
      when length(value #>> '{}') > 2000 then 'has a value of more than 2000 characters'
      when value #>> '{}' ~ '[^\t\u0020-\u007e\u0080-\u00ff]'
        then 'has a value that is not allowed in a header; use printable characters up to U+00FF'
      when read_as = any (seen) then 'is given twice, in spellings that receivers may read as one name'
    end;
    if problem is not null then
      raise exception 'the header "%" %', left(name, 100), split_part(problem, '; ', 1)
        using errcode = 'invalid_parameter_value',
          hint = coalesce(upper(left(nullif(split_part(problem, '; ', 2), ''), 1)) || substr(split_part(problem, '; ', 2), 2) || '.',
            'Give each header once, as text: names of up to 100 characters and values of up to 2000.');
    end if;
    seen := array_append(seen, read_as);
    bytes := bytes + length(name) + length(value #>> '{}');
    checked := checked || jsonb_build_object(lower(name collate "C"), value);
  end loop;
  if bytes > most_bytes then
    raise exception 'the headers have % bytes', bytes
      using errcode = 'invalid_parameter_value',
        hint = format('At most %s bytes of names and values together are allowed.', most_bytes);
  end if;
  return checked::text;
end
$$;
comment on function posthorn.check_headers is
  'Returns the headers that a sender gives to a webhook, with their names in lower case, as the text of a JSON object; null if there are none. Raises an error that names the header which cannot be sent.';
revoke execute on function posthorn.check_headers from public;
