import type pg from 'pg';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';

const DEPENDENT_OBJECTS_STILL_EXIST = '2BP01';
/**
 * What Postgres says of a function's file when the database has the function with other arguments or
 * another result: it may not be replaced in place, or its name means two functions from then on.
 */
const OTHER_SIGNATURE = ['42P13', '42725'];

/** A function that was replaced by one with other arguments or another result, under its new name. */
export interface SetAside {
  readonly oid: number;
  readonly name: string;
  readonly replacedBy: string;
}

interface FunctionFile {
  readonly name: string;
  readonly text: string;
  readonly hash: string;
}

/**
 * Creates or replaces a function and its triggers. If its arguments or its result have changed, the old one is
 * renamed, and the new one gets the rights that were granted on it.
 *
 * @returns the old one, for `settle`, once nothing of ours uses it any more; null: it was replaced in place.
 */
export async function loadFunction(
  client: pg.Client,
  { name, text, hash }: FunctionFile,
): Promise<SetAside | null> {
  const [oid, ...others] = await functionsNamed(client, name);
  let old: SetAside | null = null;
  try {
    await inSavepoint(client, async () => {
      await client.query(text);
      if ((await functionsNamed(client, name)).length > 1 && others.length === 0)
        throw Object.assign(new Error('two functions'), { code: OTHER_SIGNATURE[1] });
    });
  } catch (error) {
    if (oid === undefined || !OTHER_SIGNATURE.includes(errorCode(error) ?? '')) throw error;
    old = { oid, name: `${name}_before_${hash.slice(0, 8)}`, replacedBy: name };
    const setAside = old;
    await inSavepoint(client, async () => {
      await client.query(`alter function ${await signature(client, oid)} rename to ${setAside.name}`);
      await client.query(text);
      await copyGrants(client, oid, name);
    });
  }
  const oids = await functionsNamed(client, name);
  if (oids.length !== 1)
    throw new Error(`it must make one function posthorn.${name}; there are ${oids.length}`);
  await dropStaleTriggers(client, old === null ? oids : [...oids, old.oid], text);
  return old;
}

/**
 * Drops a function that was set aside. If something of others is bound to it (a view, a function with a
 * SQL body), it stays under its new name, and calls the function that replaced it.
 *
 * @throws OperatorError when the new function cannot be called with the old arguments.
 */
export async function settle(
  client: pg.Client,
  { oid, name, replacedBy }: SetAside,
): Promise<void> {
  try {
    await inSavepoint(client, async () =>
      client.query(`drop function ${await signature(client, oid)}`),
    );
  } catch (error) {
    if (errorCode(error) !== DEPENDENT_OBJECTS_STILL_EXIST) throw error;
    await inSavepoint(client, () => forward(client, oid, name, replacedBy)).catch(
      (failure: unknown) => {
        throw inTheWay(`posthorn.${replacedBy} has other arguments or another result now`, error, {
          cause: failure,
        });
      },
    );
  }
}

/**
 * Drops a function that exists no more, with its triggers on our tables.
 *
 * @throws OperatorError when something of others depends on it.
 */
export async function dropFunction(client: pg.Client, name: string): Promise<void> {
  const oids = await functionsNamed(client, name);
  await dropStaleTriggers(client, oids, '');
  for (const oid of oids) await drop(client, `function ${await signature(client, oid)}`);
}

/** Drops a view that exists no more. Throws as `dropFunction` does. */
export async function dropView(client: pg.Client, name: string): Promise<void> {
  await drop(client, `view if exists posthorn.${name}`);
}

/** Undoes what the work did if it fails, within the transaction of the caller. */
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

async function drop(client: pg.Client, what: string): Promise<void> {
  await inSavepoint(client, () => client.query(`drop ${what}`)).catch((error: unknown) => {
    if (errorCode(error) !== DEPENDENT_OBJECTS_STILL_EXIST) throw error;
    throw inTheWay(`this version has no ${what.replace(' if exists', '')}`, error);
  });
}

function inTheWay(why: string, error: unknown, options?: ErrorOptions): OperatorError {
  const detail = (error as pg.DatabaseError).detail ?? errorMessage(error);
  return new OperatorError(
    `The database cannot be migrated: ${why}, and something in it depends on it as it was: ${detail.replaceAll('\n', '; ')}. Drop that, and start again.`,
    options,
  );
}

async function functionsNamed(client: pg.Client, name: string): Promise<number[]> {
  const { rows } = await client.query<{ oid: number }>(
    `select oid from pg_proc where pronamespace = 'posthorn'::regnamespace and proname = $1`,
    [name],
  );
  return rows.map(({ oid }) => oid);
}

/** As statements name it: posthorn.send(text,jsonb). */
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

/** Triggers of these functions that the file has no more, or has under another name. */
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

/** Makes a function that was set aside call the one that replaced it, with the arguments it has. */
async function forward(
  client: pg.Client,
  oid: number,
  name: string,
  replacedBy: string,
): Promise<void> {
  const { rows } = await client.query<{
    args: string;
    result: string;
    count: number;
    definer: boolean;
  }>(
    `select pg_get_function_arguments(oid) as args, pg_get_function_result(oid) as result, pronargs as count,
       prosecdef as definer
     from pg_proc where oid = $1`,
    [oid],
  );
  const { args, result, count, definer } = rows[0] as (typeof rows)[number];
  const values = Array.from({ length: count }, (_, index) => `$${index + 1}`).join(', ');
  await client.query(
    `create or replace function posthorn.${name}(${args}) returns ${result}
     language sql ${definer ? 'security definer' : ''} set search_path = pg_catalog, pg_temp
     as 'select * from posthorn.${replacedBy}(${values})'`,
  );
}
