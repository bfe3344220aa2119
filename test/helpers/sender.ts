import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import type { Test } from 'tap';

/**
 * Creates a role, and drops it with the test. The name is its own, because roles are the whole server's.
 *
 * @param client of a user that may create roles.
 */
export async function createRole(t: Test, client: pg.Client, options = ''): Promise<string> {
  const role = `role_${randomBytes(6).toString('hex')}`;
  await client.query(`create role ${role} ${options}`);
  t.teardown(() =>
    client.query(
      `rollback; reset session authorization; reset role; drop owned by ${role} cascade; drop role ${role}`,
    ),
  );
  return role;
}

/** A role that may send, for all tenants or for these only. */
export async function createSender(
  t: Test,
  client: pg.Client,
  tenants: readonly string[] | null = null,
): Promise<string> {
  const role = await createRole(t, client);
  await client.query('select posthorn.allow_sender($1, $2)', [role, tenants]);
  return role;
}
