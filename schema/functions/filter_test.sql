create or replace function posthorn.filter_test(filter jsonpath) returns jsonpath
  language sql immutable strict parallel safe
  return case
    when posthorn.filter_is_predicate(filter) then
      regexp_replace(filter::text, '^(strict )?(.*)$', '\1(\2) ? (@ == true)')::jsonpath
    else filter
  end;
comment on function posthorn.filter_test is
  'The form in which a filter is tested: a path that selects something in matching data, and nothing in other data.';
revoke execute on function posthorn.filter_test from public;
