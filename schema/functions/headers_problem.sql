-- The lists are those of src/subscriptions/policy.ts, which says why each name is there.
create or replace function posthorn.headers_problem(headers jsonb) returns text
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  given record;
  normalized text;
  seen text[] := '{}';
  size integer := 0;
begin
  if jsonb_typeof(headers) <> 'object' then
    return 'they are not a JSON object';
  end if;
  for given in select key, jsonb_typeof(value) as type, headers ->> key as value from jsonb_each(headers) loop
    -- CGI and some servers replace other characters than letters and digits, so such names are one name to them.
    normalized := regexp_replace(lower(given.key), '[^a-z0-9]', '-', 'g');
    if given.key !~ '^[!#$%&''*+.^_`|~0-9A-Za-z-]{1,100}$' then
      return format('"%s" is not a header name; use letters, digits and -', left(given.key, 100));
    end if;
    if normalized ~ '^x-forwarded-' or normalized in (
      'accept-encoding', 'connection', 'content-encoding', 'content-length', 'content-type', 'date', 'expect',
      'forwarded', 'host', 'http2-settings', 'keep-alive', 'proxy', 'proxy-authenticate', 'proxy-authorization',
      'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'webhook-id', 'webhook-signature',
      'webhook-timestamp', 'x-hub-signature-256', 'x-real-ip') then
      return format('"%s" is set by Posthorn, by a proxy or for the connection, or may be read as such a name', given.key);
    end if;
    if given.type <> 'string' or length(given.value) > 2000 or given.value ~ '[^\t\u0020-\u007e\u0080-\u00ff]' then
      return format('"%s" has a value that is not text of up to 2,000 printable characters', given.key);
    end if;
    if normalized = any (seen) then
      return format('"%s" is given twice, in spellings that receivers may read as one name', given.key);
    end if;
    seen := seen || normalized;
    size := size + length(given.key) + length(given.value);
  end loop;
  if cardinality(seen) > 32 or size > 8192 then
    return format('they are %s headers of %s characters; at most 32 headers of 8,192 characters are allowed',
      cardinality(seen), size);
  end if;
  return null;
end
$$;
comment on function posthorn.headers_problem is
  'Why a subscription cannot have these headers, or null.';
revoke execute on function posthorn.headers_problem from public;
