import { cpSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/** Copies the sources of this version to a folder, where they can be changed and run. */
export function copyVersion(to: string): void {
  for (const part of ['src', 'tasks', 'migrations', 'schema', 'package.json'])
    cpSync(join(ROOT, part), join(to, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
}

/**
 * Makes the next version in a folder: this one with a migration of the kinds that there may be, new
 * parameters of functions that applications and processes of this version call, and a new function.
 */
export function makeNextVersion(to: string): void {
  copyVersion(to);
  setVersion(to, '99.0.0');
  writeFileSync(
    join(to, 'migrations', '0002_next.sql'),
    `alter table posthorn.subscriptions add column next_version text;
     alter table posthorn.webhook_payloads add column next_version text;
     alter table posthorn.deliveries add column next_version smallint not null default 0;
     alter table posthorn.delivery_attempts add column next_version text;
     alter table posthorn.subscriptions add constraint next_version check (next_version <> '') not valid;
     create index subscriptions_next_version on posthorn.subscriptions (next_version);
     create index deliveries_next_version on only posthorn.deliveries (subscription_id) where next_version > 0;`,
  );
  for (const [name, parameter] of [
    ['accept', '  deliver_ats timestamptz[] default null,'],
    ['send', '  headers jsonb default null'],
    ['send_many', '  headers jsonb default null'],
  ] as const)
    changeFile(to, `functions/${name}.sql`, parameter, (found) =>
      found.endsWith(',')
        ? `${found}\n  next_version text default null,`
        : `${found},\n  next_version text default null`,
    );
  writeSchemaFile(
    to,
    'functions/next_version.sql',
    `create or replace function posthorn.next_version() returns text language sql return 'next';
     revoke execute on function posthorn.next_version from public;`,
  );
}

/** Sets the version in the package.json of a copy. */
export function setVersion(to: string, version: string): void {
  const path = join(to, 'package.json');
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), version }));
}

/** Writes a function or a view of a copy. */
export function writeSchemaFile(to: string, path: string, text: string): void {
  writeFileSync(join(to, 'schema', path), text);
}

export function removeSchemaFile(to: string, path: string): void {
  rmSync(join(to, 'schema', path));
}

/** Changes one place in a function or a view of a copy. */
export function changeFile(
  to: string,
  path: string,
  found: string,
  change: (found: string) => string,
): void {
  const text = readFileSync(join(to, 'schema', path), 'utf8');
  if (text.split(found).length !== 2)
    throw new Error(`schema/${path} has "${found}" not exactly once`);
  writeSchemaFile(
    to,
    path,
    text.replace(found, () => change(found)),
  );
}

/** `migrate` and `migrationStatus` of a copy. */
export async function importMigrate(
  from: string,
): Promise<typeof import('../../src/db/migrate.ts')> {
  return await import(join(from, 'src', 'db', 'migrate.ts'));
}
