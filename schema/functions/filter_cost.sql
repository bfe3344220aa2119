create or replace function posthorn.filter_cost(filter jsonpath) returns integer
  language sql immutable strict parallel safe
  return (
    select count(*)
    from regexp_matches(posthorn.filter_shape(filter), '~|\[\]|\.\*|\?\(|\w\(|exists|starts with|is unknown', 'g')
  );
comment on function posthorn.filter_cost is
  'How many steps a filter has. Each may look at all of the data once.';
revoke execute on function posthorn.filter_cost from public;
