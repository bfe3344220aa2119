// `npm run test:one -- test/lib/heap.test.ts`: runs test files by themselves, on a Postgres that is kept for the
// next time. The first run starts it; each later one takes as long as its tests do.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import { migrate } from '../src/db/migrate.ts';
import { buildBundles } from './helpers/bundles.ts';
import { buildDashboard } from './helpers/dashboard.ts';
import { RUN_VARIABLE, type TestRun } from './helpers/run.ts';
import { endThrowaway, startThrowaway } from './helpers/throwaway.ts';
import { withDatabase } from './helpers/urls.ts';

const ROOT = join(import.meta.dirname, '..');
/** As .taprc has it. */
const FILE_SECONDS = '1200';
/** As .taprc has it too. */
const USE_BUNDLES = join(import.meta.dirname, 'helpers', 'use-bundles.ts');
const KEPT = join(ROOT, '.tap', 'one.json');

/** The run that is kept, if its server still answers. */
async function kept(): Promise<TestRun | undefined> {
  try {
    const run = JSON.parse(readFileSync(KEPT, 'utf8')) as TestRun;
    await query(run.adminUrl, 'select 1');
    return run;
  } catch {
    return undefined;
  }
}

async function query(url: string, text: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return await client.query(text);
  } finally {
    await client.end();
  }
}

/** Changes with every change of the schema. */
function schemaHash(): string {
  const hash = createHash('sha256');
  for (const folder of ['migrations', 'schema'])
    for (const name of readdirSync(join(ROOT, folder), {
      recursive: true,
      encoding: 'utf8',
    }).sort())
      if (name.endsWith('.sql')) hash.update(name).update(readFileSync(join(ROOT, folder, name)));
  return hash.digest('hex').slice(0, 16);
}

async function startServer(): Promise<Pick<TestRun, 'adminUrl' | 'dataDir'>> {
  const { url, dataDir } = await startThrowaway();
  return { adminUrl: url, dataDir };
}

/** A server, and on it a migrated database for the tests' databases to be copied from. */
async function prepare(): Promise<TestRun> {
  const template = `posthorn_template_${schemaHash()}`;
  const before = await kept();
  if (before?.template === template) return before;
  const { adminUrl, dataDir } = before ?? (await startServer());
  await query(adminUrl, `drop database if exists ${template}`);
  await query(adminUrl, `create database ${template}`);
  await migrate(withDatabase(adminUrl, template));
  const run: TestRun = { adminUrl, template, dataDir };
  mkdirSync(join(ROOT, '.tap'), { recursive: true });
  writeFileSync(KEPT, JSON.stringify(run));
  return run;
}

async function stop(): Promise<void> {
  const run = await kept();
  if (run?.dataDir != null) await endThrowaway(run.dataDir);
  rmSync(KEPT, { force: true });
}

const [first, ...others] = process.argv.slice(2);
if (first === undefined) {
  console.error(
    'Name test files (npm run test:one -- test/lib/heap.test.ts), or --stop to end the Postgres.',
  );
  process.exit(2);
}
if (first === '--stop') {
  await stop();
  process.exit();
}
await prepare();
await buildDashboard();
await buildBundles();
for (const file of [first, ...others]) {
  const { status } = spawnSync(process.execPath, ['--import', USE_BUNDLES, file], {
    stdio: 'inherit',
    env: { ...process.env, [RUN_VARIABLE]: KEPT, TAP_TIMEOUT: FILE_SECONDS },
  });
  if (status !== 0) process.exitCode = 1;
}
// A server that was just started goes on without this process.
process.exit();
