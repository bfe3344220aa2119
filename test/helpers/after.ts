// Runs once after the test files: leaves the machine as it was.
import { rmSync } from 'node:fs';
import { realpath } from 'node:fs/promises';
import { dirname } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.ts';
import { readRun } from './run.ts';

const { adminUrl, template, dataDir } = readRun();
if (dataDir === null) {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  await client.query(`drop database if exists ${template} with (force)`);
  await client.end();
} else {
  // Starting where a server runs takes it over; so it can be stopped.
  await (await startEmbeddedPostgres(dataDir)).stop();
  rmSync(await realpath(dataDir), { recursive: true, force: true });
  rmSync(dirname(dataDir), { recursive: true, force: true });
}
process.exit();
