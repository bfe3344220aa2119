create or replace function posthorn.secret_problem(secret text) returns text
  language plpgsql immutable strict parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  encoded constant text := substr(secret, 7);
  bytes integer;
begin
  if secret = '' or length(secret) > 256 then
    return 'it is empty or has more than 256 characters; leave it out to have a secret generated';
  end if;
  -- In the table it would look like a secret that Posthorn has encrypted.
  if starts_with(secret, 'sealed:') then
    return 'it begins with sealed:, as what Posthorn has encrypted does';
  end if;
  if starts_with(secret, 'whsk_') then
    return 'whsk_ is a private key, and Postgres cannot check it; set it by PATCH /v1/subscriptions/{id}';
  end if;
  if starts_with(secret, 'whsec_') then
    if encoded = '' or encoded !~ '^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}(==)?|[A-Za-z0-9+/]{3}=?)?$' then
      return 'what follows whsec_ is not base64';
    end if;
    bytes := length(rtrim(encoded, '=')) * 3 / 4;
    if bytes not between 24 and 64 then
      return format('what follows whsec_ is %s bytes in base64; Standard Webhooks asks for 24 to 64', bytes);
    end if;
  end if;
  return null;
end
$$;
comment on function posthorn.secret_problem is
  'Why a secret cannot sign, or null. It never contains the secret.';
revoke execute on function posthorn.secret_problem from public;
