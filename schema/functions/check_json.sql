-- A cast to json takes what JSON.parse takes, so SQL and HTTP judge alike; test/intake/json.test.ts compares them.
-- jsonb would refuse \u0000 and very long numbers, and would change the text.
create or replace function posthorn.check_json(data text) returns void
  language plpgsql immutable
  set standard_conforming_strings = on set transform_null_equals = off set array_nulls = on
  set DateStyle = 'ISO, MDY' set TimeZone = 'UTC' set search_path = pg_catalog, pg_temp
as $$
declare
  parsed json;
  reason text;
begin
  parsed := data::json;
exception
  when invalid_text_representation then
    get stacked diagnostics reason = pg_exception_detail;
    raise exception 'the data is not JSON: %', left(reason, 200)
      using errcode = 'invalid_text_representation',
        hint = 'Give the text of one JSON value, such as JSON.stringify writes it.';
  when statement_too_complex then
    if posthorn.is_deep_json(data) then
      return;
    end if;
    raise exception 'the data is not JSON'
      using errcode = 'invalid_text_representation',
        hint = 'Give the text of one JSON value, such as JSON.stringify writes it.';
end
$$;
comment on function posthorn.check_json is
  'Raises invalid_text_representation (22P02) unless the text is JSON.';
revoke execute on function posthorn.check_json from public;
