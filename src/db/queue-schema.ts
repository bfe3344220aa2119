import { readdir, readFile } from 'node:fs/promises';

/** The SQL files of the installed version of graphile-worker. */
const MIGRATIONS_DIR = new URL('../sql/', import.meta.resolve('graphile-worker'));

/** `create schema if not exists` would need the right to create in the database even if the schema exists. */
const BOOTSTRAP = `do $queue$ begin
  if to_regnamespace('graphile_worker') is null then
    create schema graphile_worker;
  end if;
end $queue$;
create table if not exists graphile_worker.migrations (
  id int primary key,
  ts timestamptz default now() not null
);
alter table graphile_worker.migrations add column if not exists breaking boolean not null default false;
`;

/**
 * Returns the SQL that brings graphile-worker's schema to the version that this Posthorn needs, whatever version the
 * database has: the statements of graphile-worker's own installer (`runMigrations`), which needs a connection, and
 * the right to create a schema even if it exists.
 */
export async function queueSql(): Promise<string> {
  const parts = [BOOTSTRAP];
  for (const name of await fileNames()) {
    const id = Number(name.slice(0, 6));
    const text = (await readFile(new URL(name, MIGRATIONS_DIR), 'utf8'))
      .replaceAll('\r\n', '\n')
      .replaceAll(/:GRAPHILE_WORKER_SCHEMA\b/g, '"graphile_worker"');
    // Workers that run listen for it, and end if the migration is a breaking one.
    const breaking = text.startsWith('--! breaking');
    parts.push(`-- graphile-worker ${name}
do $queue$ begin
  if not exists (select from graphile_worker.migrations where id = ${id}) then
    insert into graphile_worker.migrations (id, breaking) values (${id}, ${breaking});
    execute $migration$
${text.trimEnd()}
$migration$;
    perform pg_notify('worker:migrate', '{"migrationNumber":${id},"breaking":${breaking}}');
  end if;
end $queue$;
`);
  }
  return parts.join('\n');
}

/** Returns the number of the newest migration in `queueSql`. */
export async function queueVersion(): Promise<number> {
  return Number((await fileNames()).at(-1)?.slice(0, 6));
}

async function fileNames(): Promise<string[]> {
  return (await readdir(MIGRATIONS_DIR)).filter((name) => /^\d{6}\.sql$/.test(name)).sort();
}
