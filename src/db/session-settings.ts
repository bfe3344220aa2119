import type pg from 'pg';

/**
 * Settings of Postgres on which our statements rely. A role or a database may have other defaults, so each of
 * our sessions sets them. `test/db/role-settings.test.ts` has a case for each.
 *
 * `default_transaction_read_only` is not here: it protects a disk that is full, or a database that moves.
 */
const RELIED_ON = {
  // node-postgres reads dates, intervals and bytes only in these text forms.
  client_encoding: 'UTF8',
  DateStyle: 'ISO, MDY',
  IntervalStyle: 'postgres',
  TimeZone: 'UTC',
  bytea_output: 'hex',
  extra_float_digits: '1',
  // These decide how statements and migrations are read, and to what their names refer.
  standard_conforming_strings: 'on',
  transform_null_equals: 'off',
  array_nulls: 'on',
  quote_all_identifiers: 'off',
  search_path: 'pg_catalog, pg_temp',
  // These decide which rows statements see, and whether they fail or do less than they say.
  default_transaction_isolation: 'read committed',
  default_transaction_deferrable: 'off',
  row_security: 'on',
  session_replication_role: 'origin',
  restrict_nonsystem_relation_kind: '',
  exit_on_error: 'off',
  // Pools set the first of these to their own limit. A transaction of ours is idle only while its process is
  // frozen, and then it should not keep its locks.
  statement_timeout: '0',
  lock_timeout: '0',
  transaction_timeout: '0',
  idle_session_timeout: '0',
  idle_in_transaction_session_timeout: '1min',
} as const;

/** A 202 promises that the webhook is on the disk. Other values than this one say on how many. */
const NOT_DURABLE = { name: 'synchronous_commit', value: 'off', instead: 'on' } as const;

const quote = (text: string) => `'${text.replaceAll("'", "''")}'`;

/**
 * Returns the SQL that gives a session, or only the current transaction, the settings on which our statements
 * rely, and others. It changes only what differs, since a role may lack the right to set what is right already,
 * and leaves out what an older Postgres does not have.
 *
 * All names are qualified, because the search path is still that of the role.
 */
export function settingsSql(
  scope: 'session' | 'transaction',
  others: Readonly<Record<string, string>> = {},
): string {
  const rows = Object.entries({ ...RELIED_ON, ...others }).map(
    ([name, value]) => `(${quote(name)}, ${quote(value)})`,
  );
  const isLocal = scope === 'transaction';
  const { name, value, instead } = NOT_DURABLE;
  // The limit of the role applies to the statement that sets ours, so it is lifted first.
  return `set ${isLocal ? 'local' : 'session'} statement_timeout = 0;
    select pg_catalog.set_config(name, value, ${isLocal})
    from (
      values ${rows.join(', ')}
      union all
      select ${quote(name)}, ${quote(instead)}
      where pg_catalog.current_setting(${quote(name)}) operator(pg_catalog.=) ${quote(value)}
    ) as wanted (name, value)
    where pg_catalog.current_setting(name, true) operator(pg_catalog.<>) value`;
}

/** Gives a new connection its settings. By a statement, since poolers refuse startup parameters. */
export async function configure(
  client: pg.ClientBase,
  others: Readonly<Record<string, string>> = {},
): Promise<void> {
  await client.query(settingsSql('session', others));
}
