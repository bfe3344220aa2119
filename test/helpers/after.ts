// Runs once after the test files: leaves the machine as it was.
import pg from 'pg';
import { readRun } from './run.ts';
import { endThrowaway } from './throwaway.ts';

const { adminUrl, template, dataDir } = readRun();
if (dataDir === null) {
  const client = new pg.Client({ connectionString: adminUrl });
  await client.connect();
  await client.query(`drop database if exists ${template} with (force)`);
  await client.end();
} else {
  await endThrowaway(dataDir);
}
process.exit();
