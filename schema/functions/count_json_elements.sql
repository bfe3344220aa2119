create or replace function posthorn.count_json_elements(body bytea) returns integer
  language sql immutable strict parallel safe
  return length(convert_from(body, 'UTF8')) - length(translate(convert_from(body, 'UTF8'), ',[{', ''));
comment on function posthorn.count_json_elements is
  'An upper bound of the number of values in a JSON text: its brackets, braces and commas, those in strings too.';
revoke execute on function posthorn.count_json_elements from public;
