import { randomBytes } from 'node:crypto';
import pg from 'pg';
import type { Test } from 'tap';
import { readRun } from './run.ts';
import { withDatabase } from './urls.ts';

/** A migrated database of its own for a test, dropped when the test ends. Returns its URL. */
export async function createTestDatabase(t: Test, { migrated = true } = {}): Promise<string> {
  const { adminUrl, template } = readRun();
  const name = `posthorn_test_${randomBytes(6).toString('hex')}`;
  await onServer(
    adminUrl,
    `create database ${name} template ${migrated ? template : 'template0'} strategy = file_copy`,
  );
  t.teardown(() => onServer(adminUrl, `drop database if exists ${name} with (force)`));
  return withDatabase(adminUrl, name);
}

/** A connection for looking at a test's database, ended with the test. */
export async function connect(t: Test, databaseUrl: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  client.on('error', () => {});
  await client.connect();
  t.teardown(() => client.end().catch(() => {}));
  return client;
}

async function onServer(adminUrl: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  try {
    // Two copies of one template at the same time must take turns.
    await client.query('select pg_advisory_lock(4815162342)');
    await client.query(statement);
  } finally {
    await client.end();
  }
}
