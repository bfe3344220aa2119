create or replace function posthorn.filter_shape(filter jsonpath) returns text
  language sql immutable strict parallel safe
  return regexp_replace(
    regexp_replace(
      regexp_replace(filter::text, '"(?:[^"\\]|\\.)*"', '""', 'g'),
      -- A subscript: a number, a range, or all. A list of subscripts in brackets is not allowed: its length
      -- would multiply with the length of the next list.
      '\[(?:\*|(?:-?\d+|last(?: [-+] \d+)?)(?: to (?:-?\d+|last(?: [-+] \d+)?))?)\]',
      '[]', 'g'),
    -- A comparison with a value on either side.
    ' (?:==|!=|<>|<=?|>=?) (?:-?[\d.]+(?:e[-+]?\d+)?|""|true|false|null)(?=\)| &&| \|\||$)'
    '|(?<=\(|&& |\|\| )(?:-?[\d.]+(?:e[-+]?\d+)?|""|true|false|null) (?:==|!=|<>|<=?|>=?) (?=[$@])',
    '~', 'g');
comment on function posthorn.filter_shape is
  'A filter as Postgres writes it, with "" for each name and string, [] for each subscript, and ~ for each comparison with a value.';
revoke execute on function posthorn.filter_shape from public;
