import pg from 'pg';
import { VERSION } from '../version.ts';
import { MIGRATION_LOCK } from './advisory-locks.ts';
import { BOOKKEEPING_TABLES, knownMigrations, readMigration } from './migration-files.ts';
import { PARTITIONS_SQL } from './partitions.ts';
import { queueSql } from './queue-schema.ts';
import { readSchemaFiles, schemaFilesSql } from './schema-files.ts';

export interface MigrationSqlOptions {
  /** The newest migration that the database has. 0: it has none. */
  readonly from: number;
  /** The role that is to own the schemas, if another role runs the script. */
  readonly owner?: string | undefined;
}

/**
 * Returns the SQL that does what `migrate` would do, for a team whose own tool applies it: the same text each time.
 * It is made to be run in one transaction.
 */
export async function migrationSql({ from, owner }: MigrationSqlOptions): Promise<string> {
  const known = await knownMigrations();
  const newest = known.at(-1)?.version ?? 0;
  const parts = [head(from, newest, owner), SETTINGS, guard(from)];
  if (owner !== undefined) parts.push(ownedSchemas(owner));
  if (from === 0) parts.push(ensureSchema('posthorn'));
  parts.push(section("graphile-worker's schema"), await queueSql());
  if (from === 0) parts.push(section('what is applied'), BOOKKEEPING_TABLES);
  for (const { version, name } of known) {
    if (version <= from) continue;
    parts.push(
      section(`migrations/${name}`),
      await readMigration(name),
      `insert into posthorn.migrations (version, name) values (${version}, ${literal(name)});\n`,
    );
  }
  parts.push(...(from === 0 ? await newFiles() : await changedFiles()));
  parts.push(section('partitions'), `${PARTITIONS_SQL};\n`, END);
  if (owner !== undefined) parts.push('reset role;\n');
  return parts.join('\n');
}

const literal = (text: string): string => pg.escapeLiteral(text);

function section(name: string): string {
  return `-- ${name} ${'-'.repeat(Math.max(3, 100 - name.length))}\n`;
}

function head(from: number, newest: number, owner: string | undefined): string {
  const options = owner === undefined ? '' : ` --owner ${owner}`;
  const applies =
    from === 0
      ? 'It is for a database without a schema "posthorn".'
      : `It is for a database with the migrations up to ${from}.`;
  return `-- Posthorn ${VERSION}: written by \`posthorn migrate --sql${from === 0 ? '' : ` --from ${from}`}${options}\`.
--
-- ${applies} It creates the schemas "posthorn" and "graphile_worker", or
-- changes them, and nothing else. Run it whole, in one transaction, as the role that is to own the schemas:
--
--   psql -1 -v ON_ERROR_STOP=1 -f this-file.sql "$DATABASE_URL"
--
-- Afterwards \`posthorn migrate\` and \`posthorn start\` of this version find nothing to apply. For the next version of
-- Posthorn, run its \`posthorn migrate --sql --from ${newest}\`.
`;
}

/** The transaction's settings on which the statements rely. The search path is put back at the end. */
const SETTINGS = `set local standard_conforming_strings = on;
set local transform_null_equals = off;
set local array_nulls = on;
set local quote_all_identifiers = off;
set local client_min_messages = warning;
-- While a statement waits for a lock on a table, it blocks all later statements on it. So the script fails soon
-- if another transaction has the tables open. Run it again then.
set local lock_timeout = '2s';
do $posthorn$ begin
  perform set_config('posthorn.search_path_before', current_setting('search_path'), true);
  perform set_config('search_path', 'pg_catalog, pg_temp', true);
  -- A service that starts meanwhile waits.
  perform pg_advisory_xact_lock(${MIGRATION_LOCK});
end $posthorn$;
`;

const END = `do $posthorn$ begin
  perform set_config('search_path', current_setting('posthorn.search_path_before'), true);
end $posthorn$;
`;

/** Ends the script on a database for which it is not. */
function guard(from: number): string {
  const check =
    from === 0
      ? `  if there is not null then
    raise exception 'this database has Posthorn''s migrations up to % already', there
      using hint = format('Use the script that posthorn migrate --sql --from %s prints.', there);
  end if;`
      : `  if there is distinct from ${from} then
    raise exception 'this script is for a database with the migrations up to ${from}, and this one has those up to %', coalesce(there, 0)
      using hint = format('Use the script that posthorn migrate --sql --from %s prints.', coalesce(there, 0));
  end if;
  select f.posthorn_version into newer from posthorn.schema_files f
  where string_to_array(substring(f.posthorn_version from '^\\d+\\.\\d+\\.\\d+'), '.')::integer[]
    > string_to_array(substring(${literal(VERSION)} from '^\\d+\\.\\d+\\.\\d+'), '.')::integer[]
  limit 1;
  if newer is not null then
    raise exception 'this database has functions of Posthorn %, and this script is of Posthorn ${VERSION}', newer;
  end if;`;
  return `do $posthorn$
declare
  there integer;
  newer text;
begin
  if to_regclass('posthorn.migrations') is not null then
    select max(m.version) into there from posthorn.migrations m;
  end if;
${check}
end $posthorn$;
`;
}

function ensureSchema(name: string, authorization = ''): string {
  return `do $posthorn$ begin
  if to_regnamespace('${name}') is null then
    create schema ${name}${authorization};
  end if;
end $posthorn$;
`;
}

function ownedSchemas(owner: string): string {
  const role = pg.escapeIdentifier(owner);
  const schemas = ['posthorn', 'graphile_worker'].map((name) =>
    ensureSchema(name, ` authorization ${role}`),
  );
  return `${schemas.join('')}set role ${role};\n`;
}

async function newFiles(): Promise<string[]> {
  const files = await readSchemaFiles();
  return files.flatMap(({ path, hash, text }) => [
    section(`schema/${path}`),
    text,
    `insert into posthorn.schema_files (path, hash, posthorn_version)
values (${literal(path)}, ${literal(hash)}, ${literal(VERSION)});\n`,
  ]);
}

async function changedFiles(): Promise<string[]> {
  const { begin, files, end } = await schemaFilesSql();
  return [section('functions and views, if they have changed'), begin, ...files, end];
}
