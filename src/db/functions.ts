import type pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';

const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01';
const UNDEFINED_FUNCTION = '42883';
/**
 * The errors of a function's file when the database has the function with other arguments or another
 * result: it cannot be replaced in place, or the name is ambiguous afterwards.
 */
const OTHER_SIGNATURE = ['42P13', '42725'];

/** A function that was renamed because one with other arguments or another result replaced it. */
export interface Replaced {
  readonly oid: number;
  readonly name: string;
  readonly replacedBy: string;
}

interface FunctionFile {
  readonly name: string;
  readonly text: string;
}

/**
 * Creates or replaces a function and its triggers. If its arguments or its result have changed, the old one is
 * renamed, and the new one gets the rights that were granted on it.
 *
 * @returns the old one, if it was renamed; null: it was replaced in place.
 */
export async function loadFunction(
  client: pg.Client,
  { name, text }: FunctionFile,
): Promise<Replaced | null> {
  const [oid, ...others] = await functionsNamed(client, name);
  let old: Replaced | null = null;
  try {
    await inSavepoint(client, async () => {
      await client.query(text);
      if ((await functionsNamed(client, name)).length > 1 && others.length === 0)
        throw Object.assign(new Error('two functions'), { code: OTHER_SIGNATURE[1] });
    });
  } catch (error) {
    if (oid === undefined || !OTHER_SIGNATURE.includes(errorCode(error) ?? '')) throw error;
    old = { oid, name: `${name}_before_${oid}`, replacedBy: name };
    const replaced = old;
    await inSavepoint(client, async () => {
      await client.query(
        `alter function ${await signature(client, oid)} rename to ${replaced.name}`,
      );
      await client.query(text);
      await copyGrants(client, oid, name);
    });
  }
  const oids = await functionsNamed(client, name);
  if (oids.length !== 1)
    throw new Error(
      `the file must create exactly one function posthorn.${name}; there are ${oids.length}`,
    );
  await dropStaleTriggers(client, old === null ? oids : [...oids, old.oid], text);
  return old;
}

/** An object to drop. */
export interface DropTarget {
  /** The object as in a drop statement: function posthorn.send(text, jsonb). */
  readonly object: string;
  /** The reason, for the error message. Null: the object may stay if other objects depend on it. */
  readonly why: string | null;
}

/** Returns the functions of a name as targets to drop, and drops their triggers on Posthorn's tables at once. */
export async function functionsToDrop(
  client: pg.Client,
  name: string,
  why: string | null,
): Promise<DropTarget[]> {
  const targets: DropTarget[] = [];
  for (const oid of await functionsNamed(client, name)) {
    await dropStaleTriggers(client, [oid], '');
    targets.push({ object: `function ${await signature(client, oid)}`, why });
  }
  return targets;
}

/**
 * Drops the targets, in any order that their dependencies allow.
 *
 * @throws OperatorError when an object of the operator depends on a target that must be dropped.
 */
export async function dropAll(client: pg.Client, targets: readonly DropTarget[]): Promise<void> {
  let waiting = targets;
  while (waiting.length > 0) {
    const failed: { target: DropTarget; error: unknown }[] = [];
    for (const target of waiting) {
      await inSavepoint(client, () => client.query(`drop ${target.object}`)).catch((error) => {
        if (errorCode(error) !== DEPENDENT_OBJECTS_STILL_EXIST) throw error;
        failed.push({ target, error });
      });
    }
    if (failed.length === waiting.length) {
      for (const { target, error } of failed)
        if (target.why !== null) throw blockedDrop(target.why, error);
      return;
    }
    waiting = failed.map(({ target }) => target);
  }
}

/**
 * Makes a replaced function call the new one with its arguments. Running statements may already refer to
 * the old function, and would fail if it were dropped. Objects of the operator may depend on it too: a
 * view, or a function with a SQL body.
 *
 * @returns false if the new function cannot be called with the old arguments; the old one is then useless.
 */
export async function forward(
  client: pg.Client,
  { oid, name, replacedBy }: Replaced,
): Promise<boolean> {
  const { rows } = await client.query<{
    args: string;
    result: string;
    count: number;
    definer: boolean;
    trigger: boolean;
  }>(
    `select pg_get_function_arguments(oid) as args, pg_get_function_result(oid) as result, pronargs as count,
       prosecdef as definer, prorettype = 'trigger'::regtype as trigger
     from pg_proc where oid = $1`,
    [oid],
  );
  const { args, result, count, definer, trigger } = rows[0] as (typeof rows)[number];
  if (trigger) return false;
  const values = Array.from({ length: count }, (_, index) => `$${index + 1}`).join(', ');
  return await inSavepoint(client, async () => {
    await client.query(
      `create or replace function posthorn.${name}(${args}) returns ${result}
       language sql ${definer ? 'security definer' : ''} set search_path = pg_catalog, pg_temp
       as 'select * from posthorn.${replacedBy}(${values})'`,
    );
    return true;
  }).catch((error) => {
    if (OTHER_SIGNATURE.includes(errorCode(error) ?? '') || errorCode(error) === UNDEFINED_FUNCTION)
      return false;
    throw error;
  });
}

/** Runs the work in a savepoint of the caller's transaction, and rolls back to it if the work fails. */
export async function inSavepoint<T>(client: pg.Client, work: () => Promise<T>): Promise<T> {
  await client.query('savepoint posthorn_schema');
  try {
    const result = await work();
    await client.query('release savepoint posthorn_schema');
    return result;
  } catch (error) {
    await client.query('rollback to savepoint posthorn_schema');
    await client.query('release savepoint posthorn_schema');
    throw error;
  }
}

function blockedDrop(why: string, error: unknown): OperatorError {
  const detail = (error as pg.DatabaseError).detail ?? errorMessage(error);
  return new OperatorError(
    `The database cannot be migrated: ${why}, but an object that is not Posthorn's depends on the old one: ${detail.replaceAll('\n', '; ')}. Drop that object, and start Posthorn again.`,
  );
}

async function functionsNamed(client: pg.Client, name: string): Promise<number[]> {
  const { rows } = await client.query<{ oid: number }>(
    `select oid from pg_proc where pronamespace = 'posthorn'::regnamespace and proname = $1`,
    [name],
  );
  return rows.map(({ oid }) => oid);
}

/** The function as statements name it: posthorn.send(text,jsonb). */
async function signature(client: pg.Client, oid: number): Promise<string> {
  const { rows } = await client.query<{ name: string }>(
    `select format('posthorn.%I(%s)', proname, pg_get_function_identity_arguments(oid)) as name
     from pg_proc where oid = $1`,
    [oid],
  );
  return rows[0]?.name as string;
}

async function copyGrants(client: pg.Client, from: number, to: string): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(
    `select format('grant execute on function posthorn.%I to %s %s', $2::text,
         case a.grantee when 0 then 'public' else quote_ident(pg_get_userbyid(a.grantee)) end,
         case when a.is_grantable then 'with grant option' end) as statement
     from pg_proc p, aclexplode(p.proacl) a
     where p.oid = $1 and a.grantee <> p.proowner`,
    [from, to],
  );
  for (const { statement } of rows) await client.query(statement);
}

/** Drops triggers of these functions that the file no longer creates, or creates under another name. */
async function dropStaleTriggers(
  client: pg.Client,
  oids: readonly number[],
  text: string,
): Promise<void> {
  const names = [...text.matchAll(/^create or replace trigger (\w+)/gm)].map(([, name]) => name);
  const { rows } = await client.query<{ statement: string }>(
    `select format('drop trigger %I on %s', t.tgname, t.tgrelid::regclass) as statement
     from pg_trigger t join pg_class c on c.oid = t.tgrelid
     where t.tgfoid = any ($1::oid[]) and not t.tgisinternal and t.tgparentid = 0
       and c.relnamespace = 'posthorn'::regnamespace and t.tgname <> all ($2::text[])`,
    [oids, names],
  );
  for (const { statement } of rows) await client.query(statement);
}
