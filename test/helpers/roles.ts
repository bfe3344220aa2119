import type pg from 'pg';
import type { Test } from 'tap';
import { createRole } from './sender.ts';

export interface Login {
  readonly name: string;
  /** The URL of a database, with this role as its user. */
  url(databaseUrl: string): string;
}

/**
 * Creates a role that may log in, until the test ends.
 *
 * @param options as in `create role`, such as `createrole`.
 */
export async function createLogin(t: Test, admin: pg.Client, options = ''): Promise<Login> {
  const name = await createRole(t, admin, `login password 'plain' ${options}`);
  return { name, url: (url) => url.replace(/\/\/[^@/]*@/, `//${name}:plain@`) };
}

/**
 * Takes the rights on a database that everybody has, so that roles have only what a test grants them.
 *
 * @returns the name of the database.
 */
export async function revokeFromPublic(admin: pg.Client): Promise<string> {
  const { rows } = await admin.query<{ name: string }>('select current_database() as name');
  const name = rows[0]?.name as string;
  await admin.query(`revoke all on database ${name} from public`);
  await admin.query('revoke all on schema public from public');
  return name;
}
