import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { packageFile } from '../lib/package-files.ts';
import { VERSION } from '../version.ts';

const SCHEMA_DIR = packageFile('schema/');
/** Stands in place of a folder for replaced functions, which have no file. */
const REPLACED = 'replaced';
const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01';

/** The file of a function or view. It is applied again whenever its text has changed. */
export interface SchemaFile {
  /** The path below schema/, such as functions/send.sql. */
  readonly path: string;
  readonly text: string;
  /** The SHA-256 of the text. */
  readonly hash: string;
}

/** The differences between the database and the files. */
export interface SchemaChanges {
  /** The paths of files that are new, have changed since they were applied, or whose function or view is missing. */
  readonly changed: readonly string[];
  /** The paths of files that were applied and no longer exist. */
  readonly removed: readonly string[];
  /** The version of Posthorn that applied the newest of them, if that is newer than this one. */
  readonly newerVersion: string | null;
}

/** Compares schema/functions and schema/views with what was applied to the database. */
export async function compareSchemaFiles(client: pg.Client): Promise<SchemaChanges> {
  const files = await readSchemaFiles();
  const paths = files.map(({ path }) => path).sort();
  const { rows: known } = await client.query(
    `select to_regclass('posthorn.schema_files') is not null as yes`,
  );
  if (!known[0].yes) return { changed: paths, removed: [], newerVersion: null };
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
  const applied = new Map(rows.filter(({ exists }) => exists).map((row) => [row.path, row.hash]));
  const hashes = new Map(files.map(({ path, hash }) => [path, hash]));
  const versions = rows.map(({ version }) => version).sort(compareVersions);
  const newest = versions.at(-1) ?? VERSION;
  return {
    changed: paths.filter((path) => applied.get(path) !== hashes.get(path)),
    removed: rows
      .map(({ path }) => path)
      .filter((path) => !path.startsWith(`${REPLACED}/`) && !hashes.has(path)),
    newerVersion: compareVersions(newest, VERSION) > 0 ? newest : null,
  };
}

/**
 * Applies the files of functions and views, within the transaction of the caller: schema/apply.sql.
 *
 * @throws OperatorError when an object of the operator depends on one that must be dropped.
 */
export async function applySchemaFiles(client: pg.Client): Promise<void> {
  const { begin, files, end } = await schemaFilesSql();
  try {
    await client.query(begin);
    for (const file of files) await client.query(file);
    await client.query(end);
  } catch (error) {
    if (errorCode(error) !== DEPENDENT_OBJECTS_STILL_EXIST) throw error;
    throw new OperatorError(errorMessage(error));
  }
}

/** Statements that bring the functions and views of a database to those of this version, whatever it has. */
export async function schemaFilesSql(): Promise<{ begin: string; files: string[]; end: string }> {
  const begin = await readText('apply.sql');
  const files = await readSchemaFiles();
  const helpers = [...begin.matchAll(/^create function (posthorn\.\w+)/gm)].map(([, name]) => name);
  const version = literal(VERSION);
  return {
    begin,
    files: files.map(
      ({ path, hash, text }) =>
        `select posthorn.apply_file(${literal(path)}, ${literal(hash)}, ${version}, ${quoteBody(text)});\n`,
    ),
    end: `select posthorn.finish_files(array[
  ${files.map(({ path }) => literal(path)).join(',\n  ')}
], ${version});
drop function
  ${helpers.join(',\n  ')};
`,
  };
}

/** Returns the files of functions and views, each after those on which it depends, and the same order each time. */
export async function readSchemaFiles(): Promise<SchemaFile[]> {
  const files = [...(await readFolder('functions')), ...(await readFolder('views'))];
  return inOrderOfUse(files);
}

async function readFolder(kind: 'functions' | 'views'): Promise<SchemaFile[]> {
  const names = await readdir(new URL(`${kind}/`, SCHEMA_DIR));
  return await Promise.all(
    names
      .filter((name) => name.endsWith('.sql'))
      .sort()
      .map(async (name) => {
        const path = `${kind}/${name}`;
        const text = await readText(path);
        return { path, text, hash: createHash('sha256').update(text).digest('hex') };
      }),
  );
}

async function readText(path: string): Promise<string> {
  return (await readFile(new URL(path, SCHEMA_DIR), 'utf8')).replaceAll('\r\n', '\n');
}

function inOrderOfUse(files: readonly SchemaFile[]): SchemaFile[] {
  const byName = new Map(files.map((file) => [nameOf(file), file]));
  const ordered = new Set<SchemaFile>();
  const visit = (file: SchemaFile, users: readonly SchemaFile[]): void => {
    if (ordered.has(file)) return;
    if (users.includes(file))
      throw new Error(`schema/${file.path} needs itself, by way of other files`);
    for (const name of namesUsedBy(file)) {
      const used = byName.get(name);
      if (used !== undefined && used !== file) visit(used, [...users, file]);
    }
    ordered.add(file);
  };
  for (const file of files) visit(file, []);
  return [...ordered];
}

function nameOf({ path }: SchemaFile): string {
  return path.replace(/^.*\//, '').replace(/\.sql$/, '');
}

/**
 * Returns the names in schema posthorn that Postgres looks up when it applies the file. It does not look up those in
 * the body of a function in PL/pgSQL before it calls the function.
 */
function namesUsedBy({ text }: SchemaFile): string[] {
  const statements = text.replaceAll(/--.*$/gm, '');
  const lookedUp = /\blanguage plpgsql\b/.test(statements)
    ? statements.replaceAll(/\$(\w*)\$.*?\$\1\$/gs, '')
    : statements;
  return [...lookedUp.matchAll(/\bposthorn\.(\w+)/g)].map(([, name = '']) => name).sort();
}

const literal = (text: string): string => pg.escapeLiteral(text);

/** Quotes a file so that it can still be read. */
function quoteBody(text: string): string {
  if (text.includes('$file$')) throw new Error('a file of schema/ must not contain $file$');
  return `$file$\n${text}$file$`;
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
