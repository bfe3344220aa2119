import { readdir, readFile } from 'node:fs/promises';
import { packageFile } from '../lib/package-files.ts';

const MIGRATIONS_DIR = packageFile('migrations/');

/** Creates the tables of applied migrations and files, in the schema posthorn. */
export const BOOKKEEPING_TABLES = `create table posthorn.migrations (
  version integer primary key,
  name text not null,
  applied_at timestamptz not null default now()
);
comment on table posthorn.migrations is 'The files of migrations/ that were applied.';
create table posthorn.schema_files (
  path text primary key,
  hash text not null,
  posthorn_version text not null,
  applied_at timestamptz not null default now()
);
comment on table posthorn.schema_files is
  'The files of schema/ (functions and views) as they were last applied: SHA-256, and by which version.';
`;

/** Returns the migrations of this version, in their order. */
export async function knownMigrations(): Promise<{ version: number; name: string }[]> {
  const files = (await readdir(MIGRATIONS_DIR))
    .filter((file) => /^\d{4}_.+\.sql$/.test(file))
    .sort();
  return files.map((file) => ({ version: Number(file.slice(0, 4)), name: file }));
}

/** Returns the SQL of a migration. */
export async function readMigration(name: string): Promise<string> {
  return (await readFile(new URL(name, MIGRATIONS_DIR), 'utf8')).replaceAll('\r\n', '\n');
}
