// Runs once before the test files: a server for the run, a migrated database to copy, the pages of the dashboard, and
// packages in few files.
import pg from 'pg';
import { migrate } from '../../src/db/migrate.ts';
import { buildBundles } from './bundles.ts';
import { buildDashboard } from './dashboard.ts';
import { writeRun } from './run.ts';
import { startThrowaway } from './throwaway.ts';
import { withDatabase } from './urls.ts';

const given = process.env.POSTHORN_TEST_DATABASE_URL;
const { url: adminUrl, dataDir } =
  given === undefined ? await startThrowaway() : { url: given, dataDir: null };

const template = `posthorn_template_${process.ppid}`;
const client = new pg.Client({ connectionString: adminUrl });
await client.connect();
await client.query(`drop database if exists ${template}`);
await client.query(`create database ${template}`);
await client.end();
await migrate(withDatabase(adminUrl, template));
await buildDashboard();
await buildBundles();
writeRun({ adminUrl, template, dataDir });
// The server goes on; after.ts stops it.
process.exit();
