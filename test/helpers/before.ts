// Runs once before the test files: a server for the run, and a migrated database to copy.
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { migrate } from '../../src/db/migrate.ts';
import { writeRun } from './run.ts';
import { withDatabase } from './urls.ts';

const given = process.env.POSTHORN_TEST_DATABASE_URL;
const dataDir =
  given === undefined ? join(mkdtempSync(join(tmpdir(), 'posthorn-test-')), 'data') : null;
const adminUrl =
  given ??
  // What is lost when the machine loses power is of no interest to a test.
  (await startEmbeddedPostgres(dataDir as string, { fsync: 'off', max_connections: '300' })).url;

const template = `posthorn_template_${process.ppid}`;
const client = new pg.Client({ connectionString: adminUrl });
await client.connect();
await client.query(`drop database if exists ${template}`);
await client.query(`create database ${template}`);
await client.end();
await migrate(withDatabase(adminUrl, template));
writeRun({ adminUrl, template, dataDir });
// The server goes on; after.ts stops it.
process.exit();
