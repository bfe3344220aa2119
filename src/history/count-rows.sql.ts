/**
 * The upper bounds of the classes of durations, in milliseconds: a duration in class n is below the nth bound, counted
 * from 0, and not below the bound before it. The last class has no upper bound.
 */
export const DURATION_CLASSES = [
  1, 2, 3, 4, 5, 7, 10, 15, 20, 30, 40, 50, 70, 100, 150, 200, 300, 400, 500, 700, 1_000, 1_500,
  2_000, 3_000, 4_000, 5_000, 7_000, 10_000, 15_000, 20_000, 30_000, 60_000, 120_000, 300_000,
] as const;

const STATUSES = ['success', 'failed', 'timeout', 'blocked'] as const;
const NUMBERS = ['accepted', ...STATUSES] as const;

/** The columns of counts_by_minute and counts_by_hour after their keys. */
export const COUNTS = `${NUMBERS.join(', ')}, duration_classes, duration_numbers`;

/** SQL: the attempts of a row of counts. */
export const ATTEMPTS = `(${STATUSES.join(' + ')})`;

/**
 * SQL: the columns after the key of a row that counts one class of durations, or what was accepted (no class). Rows of
 * counts are made from such rows.
 */
export const COUNTS_OF_CLASS = `duration_class, ${NUMBERS.join(', ')}`;

/** SQL: these columns, for a group of webhooks or deliveries. */
export const COUNTS_OF_ACCEPTED = `null::smallint as duration_class, count(*)::integer as accepted, ${STATUSES.map((status) => `0 as ${status}`).join(', ')}`;

/** SQL: these columns without the first one, for a group of attempts. */
export const COUNTS_OF_ATTEMPTS = `0 as accepted, ${STATUSES.map((status) => `count(*) filter (where status = '${status}')::integer as ${status}`).join(', ')}`;

/** SQL: these columns without the first one, for a group of such rows, added up; with `-`, to take them away. */
export const sums = (sign: '' | '-' = ''): string =>
  NUMBERS.map((name) => `${sign}sum(${name})::integer as ${name}`).join(', ');

/**
 * SQL of a query that makes one row of counts for each key: the key, and then the columns `COUNTS`.
 *
 * @param key columns of `from`.
 * @param from SQL of rows for one class of durations each. A key has each class at most once.
 */
export const rowOfClasses = (key: string, from: string): string => `
  select ${key}, ${sums()},
    coalesce(array_agg(duration_class) filter (where duration_class is not null), '{}') as duration_classes,
    coalesce(array_agg(${ATTEMPTS}::bigint) filter (where duration_class is not null), '{}') as duration_numbers
  from ${from}
  group by ${key}`;

/** SQL that adds the row of counts `excluded` to the row `known`, for `on conflict do update set`. */
export const ADD_TO_KNOWN = `
  ${NUMBERS.map((name) => `${name} = known.${name} + excluded.${name}`).join(', ')},
  (duration_classes, duration_numbers) = (
    select coalesce(array_agg(duration_class), '{}'), coalesce(array_agg(number), '{}')
    from (
      select duration_class, sum(number)::bigint as number
      from unnest(known.duration_classes || excluded.duration_classes, known.duration_numbers || excluded.duration_numbers)
        as c (duration_class, number)
      group by 1
      having sum(number) <> 0
    ) as sums)`;
