create or replace function posthorn.filter_cost(filter jsonpath) returns integer
  language sql immutable strict parallel safe
  return (
    select count(*)
    from regexp_matches(posthorn.filter_shape(filter), '~|\[\]|\.\*|\?\(|\w\(|exists|starts with|is unknown', 'g')
  );
comment on function posthorn.filter_cost is
  'The number of steps of a filter. Each step may read all of the data once.';
revoke execute on function posthorn.filter_cost from public;
