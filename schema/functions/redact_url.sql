-- A query may have a token of the receiver, and a URL that was written by SQL may have a password. Programs read any
-- number of slashes after the scheme as two.
create or replace function posthorn.redact_url(url text) returns text
  language sql immutable strict parallel safe
  return regexp_replace(
    regexp_replace(url, '^([A-Za-z]+:[/\\]*)[^/?#\\]*@', '\1redacted@'),
    '[?#].*$', case when url ~ '^[^#]*\?' then '?redacted' else '' end);
comment on function posthorn.redact_url is
  'A URL without its user name, password, query and fragment, for reports.';
