-- The API reads a URL as browsers do and stores what it means. Here a URL must be written that way already, so nothing
-- is accepted that a program could read in two ways. Whether deliveries may reach its address and port depends on the
-- settings of the service, which checks both at each connection.
create or replace function posthorn.url_problem(url text) returns text
  language plpgsql immutable parallel safe
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  host text;
  port text;
begin
  if url is null or length(url) not between 1 and 2048 then
    return 'it has no or more than 2,048 characters';
  end if;
  if url ~ '[^!-~]' then
    return 'it has a space, a control character or a character that is not ASCII; write such characters as %20';
  end if;
  if url !~ '^https?://' then
    return 'it does not begin with https:// or http://, in lower case';
  end if;
  host := substring(url from '^https?://([^/?#\\]*)');
  if strpos(host, '@') > 0 then
    return 'it contains a user name or password; use a secret and check the signature instead';
  end if;
  port := substring(host from ':([0-9]*)$');
  if port is not null then
    host := left(host, -length(port) - 1);
    if port !~ '^[1-9][0-9]{0,4}$' or port::integer > 65535 then
      return 'its port is not a number from 1 to 65535';
    end if;
    if url ~ '^https' and port = '443' or url ~ '^http:' and port = '80' then
      return 'its port is that of its scheme; leave it out';
    end if;
  end if;
  if host ~ '^\[' then
    if host !~ '^\[[0-9a-f:.]{2,45}\]$' or not posthorn.is_inet6(substr(host, 2, length(host) - 2)) then
      return 'its host is not an IPv6 address in lower case';
    end if;
  elsif host ~ '^[0-9.]+$' then
    if host !~ '^((25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])(\.(?!$)|$)){4}$' then
      return 'its host is not an IPv4 address of four numbers';
    end if;
  elsif length(host) > 253 or host !~ '^([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?[.])*[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?$'
    -- A last part that begins with a digit may be read as a number, and so as an address.
    or host ~ '(^|[.])[0-9][^.]*$' then
    return 'its host is not a name of letters, digits, - and dots, in lower case';
  elsif host ~ '(^|[.])xn--' then
    return 'its host has xn--, which Postgres cannot check; create the subscription by POST /v1/subscriptions';
  end if;
  if url ~ '[\\^`{|}<>"'']' then
    return 'it has one of \ ^ ` { | } < > and quotes; write such a character as %7B';
  end if;
  if substring(url from '^https?://[^/?#]*(.*)$') ~ '^[?#]' then
    return 'its host is not followed by /';
  end if;
  if url ~* '/([.]|%2e){1,2}([/?#]|$)' then
    return 'its path has . or .. between slashes';
  end if;
  return null;
end
$$;
comment on function posthorn.url_problem is
  'Why a URL cannot be that of a subscription that is created by SQL, or null.';
revoke execute on function posthorn.url_problem from public;
