create or replace function posthorn.refuse_body(
  -- What is too large: the webhook "order.paid" with its envelope.
  what text,
  bytes bigint,
  max_body_bytes bigint,
  detail text default ''
) returns void
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
begin
  raise exception '% has % bytes; at most % are allowed', what, bytes, max_body_bytes
    using errcode = 'program_limit_exceeded', detail = refuse_body.detail,
      hint = 'Send less data, such as a link to the rest; or raise POSTHORN_MAX_BODY and restart the service.';
end
$$;
comment on function posthorn.refuse_body is
  'Raises program_limit_exceeded (54000) for a webhook whose body is too large.';
revoke execute on function posthorn.refuse_body from public;
