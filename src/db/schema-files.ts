import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import type pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { VERSION } from '../version.ts';
import {
  type DropTarget,
  dropAll,
  forward,
  functionsToDrop,
  inSavepoint,
  loadFunction,
  type Replaced,
} from './functions.ts';

const SCHEMA_DIR = new URL('../../schema/', import.meta.url);
/** Stands in place of a folder for replaced functions, which have no file. */
const REPLACED = 'replaced';
/** An undefined function, table or type: most likely one that another file creates. */
const UNDEFINED = ['42883', '42P01', '42704'];

/** The file of a function or view. It is applied again whenever its text has changed. */
export interface SchemaFile {
  /** The path below schema/, such as functions/send.sql. */
  readonly path: string;
  readonly kind: 'functions' | 'views' | typeof REPLACED;
  /** The name of the function or view: posthorn.<name>. */
  readonly name: string;
  readonly text: string;
  readonly hash: string;
}

/** The differences between the database and the files. */
export interface SchemaChanges {
  readonly files: readonly SchemaFile[];
  /** Files that are new, have changed since they were applied, or whose function or view is missing. */
  readonly changed: readonly SchemaFile[];
  /** Files that were applied and no longer exist. */
  readonly removed: readonly Pick<SchemaFile, 'path' | 'kind' | 'name'>[];
  /** Replaced functions, which stay until the next change. */
  readonly replaced: readonly string[];
  /** The version of Posthorn that applied the newest of them, if that is newer than this one. */
  readonly newerVersion: string | null;
}

/** Compares schema/functions and schema/views with what was applied to the database. */
export async function compareSchemaFiles(client: pg.Client): Promise<SchemaChanges> {
  const files = [...(await readFiles('functions')), ...(await readFiles('views'))];
  const { rows: known } = await client.query(
    `select to_regclass('posthorn.schema_files') is not null as yes`,
  );
  if (!known[0].yes)
    return { files, changed: files, removed: [], replaced: [], newerVersion: null };
  const { rows } = await client.query<{
    path: string;
    hash: string;
    version: string;
    exists: boolean;
  }>(
    `select path, hash, posthorn_version as version,
       exists (select from pg_proc p
         where p.pronamespace = 'posthorn'::regnamespace and path = 'functions/' || p.proname || '.sql')
       or exists (select from pg_class c
         where c.relnamespace = 'posthorn'::regnamespace and c.relkind = 'v' and path = 'views/' || c.relname || '.sql')
         as exists
     from posthorn.schema_files`,
  );
  const applied = new Map(rows.map((row) => [row.path, row]));
  const versions = rows.map(({ version }) => version).sort(compareVersions);
  const newest = versions.at(-1) ?? VERSION;
  return {
    files,
    changed: files.filter(({ path, hash }) => {
      const row = applied.get(path);
      return row === undefined || !row.exists || row.hash !== hash;
    }),
    removed: rows
      .map(({ path }) => describe(path))
      .filter(({ kind, path }) => kind !== REPLACED && !files.some((file) => file.path === path)),
    replaced: rows
      .map(({ path }) => describe(path))
      .filter(({ kind }) => kind === REPLACED)
      .map(({ name }) => name),
    newerVersion: compareVersions(newest, VERSION) > 0 ? newest : null,
  };
}

/**
 * Applies the files of functions and views, within the transaction of the caller.
 *
 * Files are applied in any order: a file that needs another one is tried again after it. If the arguments or
 * the result of a function have changed, a new function replaces the old one, and Posthorn's functions and
 * views that depend on the old one are applied again. Granted rights are kept. The old function calls the
 * new one from then on, and the next call that changes something drops it.
 *
 * @throws OperatorError when an object of the operator depends on one that must be dropped.
 */
export async function applySchemaFiles(client: pg.Client): Promise<void> {
  const { files, changed, removed, replaced: earlier } = await compareSchemaFiles(client);
  const replaced = await load(client, changed);
  const dependentPaths = await dependents(client, replaced);
  await load(
    client,
    files.filter((file) => dependentPaths.includes(file.path) && !changed.includes(file)),
  );
  const targets: DropTarget[] = [];
  for (const { kind, name } of removed) {
    const why = `this version has no posthorn.${name}`;
    if (kind === 'functions') targets.push(...(await functionsToDrop(client, name, why)));
    else targets.push({ object: `view if exists posthorn.${name}`, why });
  }
  for (const name of earlier) targets.push(...(await functionsToDrop(client, name, null)));
  for (const old of replaced) {
    const why = `posthorn.${old.replacedBy} has other arguments or another result now`;
    if (await forward(client, old)) await recordFile(client, `${REPLACED}/${old.name}`, '');
    else targets.push(...(await functionsToDrop(client, old.name, why)));
  }
  await dropAll(client, targets);
  await client.query(
    `delete from posthorn.schema_files where path = any ($1)
       or path like '${REPLACED}/%' and not exists (
         select from pg_proc p
         where p.pronamespace = 'posthorn'::regnamespace and path = '${REPLACED}/' || p.proname)`,
    [removed.map(({ path }) => path)],
  );
  for (const { path, hash } of changed) await recordFile(client, path, hash);
}

/** Returns the files of Posthorn's functions and views that depend on one of these functions. */
async function dependents(client: pg.Client, replaced: readonly Replaced[]): Promise<string[]> {
  const { rows } = await client.query<{ path: string }>(
    `select distinct coalesce('functions/' || p.proname, 'views/' || c.relname) || '.sql' as path
     from pg_depend d
     left join pg_proc p on d.classid = 'pg_proc'::regclass and p.oid = d.objid
     left join pg_rewrite r on d.classid = 'pg_rewrite'::regclass and r.oid = d.objid
     left join pg_class c on c.oid = r.ev_class
     where d.refclassid = 'pg_proc'::regclass and d.refobjid = any ($1)
       and 'posthorn'::regnamespace in (p.pronamespace, c.relnamespace)`,
    [replaced.map(({ oid }) => oid)],
  );
  return rows.map(({ path }) => path);
}

async function recordFile(client: pg.Client, path: string, hash: string): Promise<void> {
  await client.query(
    `insert into posthorn.schema_files (path, hash, posthorn_version) values ($1, $2, $3)
     on conflict (path) do update
     set hash = excluded.hash, posthorn_version = excluded.posthorn_version, applied_at = now()`,
    [path, hash, VERSION],
  );
}

async function load(client: pg.Client, files: readonly SchemaFile[]): Promise<Replaced[]> {
  const replaced: Replaced[] = [];
  let waiting = files;
  while (waiting.length > 0) {
    const failed: { file: SchemaFile; error: unknown }[] = [];
    for (const file of waiting) {
      try {
        const old =
          file.kind === 'functions'
            ? await loadFunction(client, file)
            : await inSavepoint(client, () => client.query(file.text).then(() => null));
        if (old !== null) replaced.push(old);
      } catch (error) {
        if (!UNDEFINED.includes(errorCode(error) ?? '')) throw explain(file, error);
        failed.push({ file, error });
      }
    }
    const [first] = failed;
    if (first !== undefined && failed.length === waiting.length)
      throw explain(first.file, first.error);
    waiting = failed.map(({ file }) => file);
  }
  return replaced;
}

function explain({ path }: SchemaFile, error: unknown): Error {
  return new Error(`schema/${path} cannot be applied: ${errorMessage(error)}`, { cause: error });
}

async function readFiles(kind: SchemaFile['kind']): Promise<SchemaFile[]> {
  const names = (await readdir(new URL(`${kind}/`, SCHEMA_DIR))).filter((name) =>
    name.endsWith('.sql'),
  );
  return await Promise.all(
    names.sort().map(async (file) => {
      const path = `${kind}/${file}`;
      const text = (await readFile(new URL(path, SCHEMA_DIR), 'utf8')).replaceAll('\r\n', '\n');
      return { ...describe(path), text, hash: createHash('sha256').update(text).digest('hex') };
    }),
  );
}

function describe(path: string): Pick<SchemaFile, 'path' | 'kind' | 'name'> {
  const [kind, file] = path.split('/') as [SchemaFile['kind'], string];
  return { path, kind, name: file.replace(/\.sql$/, '') };
}

/** Compares by the three numbers of a semantic version. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => version.split(/[.+-]/).slice(0, 3).map(Number));
  for (const part of [0, 1, 2]) {
    const difference = (left?.[part] ?? 0) - (right?.[part] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
