// The plan of every hot statement, as the code sends it, on a million deliveries over several days. Each runs
// with generic and with custom plans, and with statistics that know nothing of the backlog and with fresh ones.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import pg from 'pg';
import t, { type Test } from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { noteQuietHistory } from '../../src/maintenance/quiet-history.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { type Explained, type ExplainingClient, openExplaining } from '../helpers/explain.ts';
import { fillHistory, HISTORY } from '../helpers/history.ts';
import { readRun } from '../helpers/run.ts';
import { ofBacklogs } from './hot/backlog.ts';
import { ofManyDeliveries } from './hot/clock.ts';
import { ofHistory } from './hot/history.ts';
import { ofIntake } from './hot/intake.ts';
import { ofPulling } from './hot/pull.ts';
import { ofQueue } from './hot/queue.ts';
import { ofResources } from './hot/resources.ts';
import { type Hot, readSamples } from './hot/samples.ts';
import { ofSending } from './hot/sending.ts';
import { ofWhy } from './hot/why.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** A table with more rows may not be read from one end to the other. */
const MANY_ROWS = 10_000;
/** For each row that a statement is about: its index entries, itself, its payload; and what is read beside. */
const ROWS_EACH = 4;
const ROWS_BESIDE = 100;
const BLOCKS_EACH = 60;
/** Each search of a list of keys goes through all of it, so many searches of a long list take seconds. */
const MOST_SEARCHES = 50;
/** Days long past, on which nothing is unfinished, and the most partitions that a statement may plan and lock all the same. */
const QUIET_DAYS = 80;
const MOST_PARTITIONS = 24;
/** Some of the catalogue, to plan. */
const BLOCKS_BESIDE = 2_000;

/** Named statements that are not walked, and why not. */
const RARE: Readonly<Record<string, string>> = {
  replica_age: 'asks how far a standby is behind, and reads no table',
  'wake-tasks': 'reads an index of unfinished tasks, of which a tenant has 20 at most',
  'open-circuits': 'reads the circuits that are open, once a minute',
  'partitions-fingerprint': 'reads the catalogue',
  'look-at-watches': 'reads an index of unfinished backfills, of which there are few',
  'merge-watch-failures': 'reads failures of watches, of which it leaves a few hundred',
  skipping: 'reads an index of subscriptions that skip now, twice a minute',
  'end-skipping some': 'updates a subscription by its id',
  'enable-any': 'updates a subscription by its id',
  'mark-commits': 'reads marks by their number, of which there is one a second for an hour',
  'count-owned': 'counts the backlogs that have an owner, twice a minute',
  beat: 'reads workers, of which there are few',
  'pulled-subscriptions': 'reads an index of subscriptions without a URL, once an hour',
  'find-unpulled': 'reads an index of temporary subscriptions, once a minute',
  'record-late':
    'logs results that changed no delivery, by their ids: after a lost answer or a take-over',
  'keys-used': 'updates keys by their ids, each once a minute at most',
};

/** Files with statements on history that are not walked, and why not. */
const RARE_FILES: Readonly<Record<string, string>> = {
  'src/bulk-operations/replay-latest.ts':
    'looks up 500 webhooks by their ids, planned anew each time',
  'src/deliveries/deliver-again.sql.ts': 'inserts 100 deliveries at most',
  'src/archive/tables.ts':
    'reads a day once, in the order of its primary key, with settings that leave no other plan',
  'src/cli/demo.ts': 'runs on the small database of a demo',
  'src/dashboard/screens/webhook/sql.ts': 'writes SQL for people to copy',
  'src/db/types.ts': 'has types alone',
  'src/doctor/checks.ts': 'is run by a person, and counts no more than 100,000 late deliveries',
  'src/history/owed.sql.ts': 'writes a part of two statements of figures, which are walked',
  'src/placement/checks.ts': 'asks who owns a table, and reads no history',
  'src/placement/copy-history.ts':
    'compares and copies a tenant that moves, window by window of its index, by a person',
  'src/placement/counts.ts': 'counts some minutes of a tenant once, when it moves',
  'src/placement/drain.ts': 'asks who holds locks, and reads no history',
  'src/placement/leave.ts': 'ends the unfinished deliveries of a tenant that has moved, once',
  'src/placement/move.ts': 'reads the greatest id of a tenant once, when it moves',
  'src/placement/fence.ts': 'asks who holds locks, and reads no history',
  'src/sending/sent-request.ts': 'reads an attempt by its key, planned anew each time',
  'src/maintenance/erase-bodies.ts': 'erases bodies once an hour, by their ids',
  'src/maintenance/failed-history.ts':
    'copies failed deliveries of a detached partition, once a day',
  'src/maintenance/indexes.ts': 'reads the catalogue',
  'src/maintenance/partition-maker.ts': 'reads the catalogue',
  'src/maintenance/partition-list.sql.ts':
    'looks for one unfinished delivery in each expired partition, once an hour',
};

/** Functions and views on history that are not walked, and why not. */
const RARE_FUNCTIONS: Readonly<Record<string, string>> = {
  uuidv7: 'sets a default',
  list_partitions: 'reads the catalogue',
  note_quiet_history: 'looks at one past day, once',
  droppable_days: 'runs once an hour, and looks for one row in each past day',
  replay_latest: 'reads a day at a time by constants, planned anew each time, when a person asks',
  write_fence: 'writes a trigger when a tenant begins or ends to move, and reads no history',
  webhooks: 'is for people who look at history by SQL',
  attempt_report: 'is for people who look at history by SQL',
  delivery_report: 'is for people who look at history by SQL',
  tenant_deliveries: 'is for people who look at history by SQL',
  readable_deliveries: 'is for people who look at history by SQL',
  readable_attempts: 'is for people who look at history by SQL',
  readable_payloads: 'is for people who look at history by SQL',
  report_attempts: 'is for people who look at history by SQL',
  deliveries_between: 'is for people who look at history by SQL',
  pullable_deliveries: 'is read by lease_deliveries, which is walked',
  pullable_payloads: 'is read by lease_deliveries, which is walked',
  live_deliveries: 'is read by src/health/health.sql.ts, which is walked',
  attempts_of_day: 'is read by src/health/health.sql.ts, which is walked',
  attempts_of_month: 'is read by src/health/health.sql.ts, which is walked',
};

t.setTimeout(1_200_000);

const server = await connect(t, readRun().adminUrl);
await server.query(`load 'auto_explain'`).catch((error: Error) => {
  // On a server of one's own (POSTHORN_TEST_DATABASE_URL), the user may have no right to do this.
  t.plan(0, `Postgres shows no plans: ${error.message}`);
  process.exit();
});
const databaseUrl = await createTestDatabase(t);
const admin = await connect(t, databaseUrl);
const startedAt = performance.now();
await fillHistory(databaseUrl);
await admin.query(`set timezone = 'UTC'`);
for (let day = QUIET_DAYS; day > 0; day -= 20)
  await admin.query(
    `select posthorn.ensure_partitions(current_date - $1::integer, current_date - $2::integer, 1)`,
    [HISTORY.days + day, HISTORY.days + day - 19],
  );
const maintenance = new pg.Pool({ connectionString: databaseUrl, max: 1 });
await noteQuietHistory(maintenance);
for (const reader of ['pull', 'reports'])
  await maintenance.query('select posthorn.write_live_views($1)', [reader]);
await maintenance.end();
t.comment(`filled in ${Math.round(performance.now() - startedAt)} ms`);
const samples = await readSamples(admin);
const hot = [
  ...ofIntake(),
  ...ofSending(samples),
  ...ofBacklogs(samples),
  ...ofPulling(samples),
  ...ofManyDeliveries(samples),
  ...ofHistory(samples),
  ...ofWhy(samples),
  ...ofResources(),
  ...(await ofQueue(databaseUrl)),
];
const large = await largeTables(admin);

const names = new Set<string>();
const files = new Set<string>();
const functions = new Set<string>();

/** The tables with many rows: partitions, and others. */
async function largeTables(client: pg.Client): Promise<ReadonlySet<string>> {
  const { rows } = await client.query<{ name: string; parent: string | null }>(
    `select c.relname as name from pg_class c join pg_namespace n on n.oid = c.relnamespace
     where c.relkind = 'r' and nspname in ('posthorn', 'graphile_worker')`,
  );
  const found = new Set<string>();
  for (const { name } of rows) {
    const schema = name.startsWith('_private') ? 'graphile_worker' : 'posthorn';
    const { rowCount } = await client
      .query(`select from ${schema}.${pg.escapeIdentifier(name)} limit ${MANY_ROWS + 1}`)
      .catch(() => ({ rowCount: 0 }));
    if ((rowCount ?? 0) > MANY_ROWS) found.add(name);
  }
  return found;
}

function showScans({ text, scans, blocks }: Explained): string[] {
  const read = scans.filter(({ rows, table }) => rows > 0 || large.has(table));
  if (read.length === 0) return [];
  return [
    `  ${text.trim().replaceAll(/\s+/g, ' ').slice(0, 60)}: ${blocks} blocks`,
    ...read.map(({ table, how, rows }) => `    ${rows} rows of ${table} by ${how}`),
  ];
}

/** A statement counts what the statements in its functions use; so the largest counts, and not the sum. */
const blocksOf = (explained: readonly Explained[]) =>
  Math.max(0, ...explained.map(({ blocks }) => blocks));
const mostBlocksFor = (rows: number) => BLOCKS_EACH * rows + BLOCKS_BESIDE;

/** Says what is wrong with how the statements of a hot function ran. */
function problemsOf(
  { rows, days, whole = [], pool }: Hot,
  explained: readonly Explained[],
): string[] {
  const problems: string[] = [];
  let read = 0;
  for (const { text, scans, partitions, isParallel } of explained) {
    const subject = text.trim().replaceAll(/\s+/g, ' ').slice(0, 60);
    if (isParallel && pool !== 'general') problems.push(`it starts parallel workers: ${subject}`);
    if (partitions > MOST_PARTITIONS)
      problems.push(`it plans and locks ${partitions} partitions of a table: ${subject}`);
    for (const scan of scans) {
      const [, day] = /_(\d{8})$/.exec(scan.table) ?? [];
      if (days !== undefined && day !== undefined && !days.includes(day))
        problems.push(`${scan.table} is read, which has none of the ids (${scan.how}): ${subject}`);
      if (scan.searches > MOST_SEARCHES)
        problems.push(
          `a list of keys is searched ${scan.searches} times (${scan.how} of ${scan.table}): ${subject}`,
        );
      if (!large.has(scan.table) || whole.includes(scan.table)) continue;
      if (/Seq Scan/.test(scan.how)) problems.push(`${scan.table} is read in full: ${subject}`);
      read += scan.rows;
    }
  }
  const mostRows = ROWS_EACH * rows + ROWS_BESIDE;
  const blocks = blocksOf(explained);
  const mostBlocks = mostBlocksFor(rows);
  if (read > mostRows) problems.push(`${read} rows are read for ${rows}, and may be ${mostRows}`);
  if (blocks > mostBlocks)
    problems.push(`${blocks} blocks are read for ${rows} rows, and may be ${mostBlocks}`);
  if (problems.length > 0) problems.push(...explained.flatMap(showScans));
  return problems;
}

async function walk(t: Test, mode: 'generic' | 'custom'): Promise<void> {
  const clients = new Map<string, ExplainingClient>();
  try {
    for (const one of hot) {
      // The other pools force generic plans.
      if (mode === 'custom' && one.pool !== 'general') continue;
      const settings = one.pool === 'general' ? {} : POOL_PLANS[one.pool];
      const client = clients.get(one.pool) ?? (await openExplaining(databaseUrl, settings, mode));
      clients.set(one.pool, client);
      try {
        const ran = await client.run(one.run);
        for (const name of ran.names) names.add(name);
        for (const file of ran.files) files.add(file);
        for (const name of ran.functions) functions.add(name);
        // When tables were analyzed, a connection reads thousands of blocks of the catalogue to plan a function anew,
        // once. So what is too much has to be so twice.
        const isTooMuch = blocksOf(ran.explained) > mostBlocksFor(one.rows);
        const { explained } = isTooMuch ? await client.run(one.run) : ran;
        const problems = problemsOf(one, explained);
        if (problems.length === 0) t.pass(one.what);
        else t.fail([one.what, ...problems].join('\n'));
      } catch (error) {
        t.fail(`${one.what}: ${(error as Error).stack}`);
      }
    }
  } finally {
    for (const client of clients.values()) await client.end();
  }
}

for (const statistics of ['calm', 'fresh'] as const) {
  t.test(`every hot statement is read by index, with ${statistics} statistics`, async (t) => {
    if (statistics === 'fresh') await admin.query('analyze');
    for (const mode of ['generic', 'custom'] as const)
      await t.test(`by ${mode} plans`, (t) => walk(t, mode));
  });
}

const SQL_FOLDERS = ['schema/functions', 'schema/views'];
const HISTORY_TABLES = /\bposthorn\.(deliveries|delivery_attempts|webhook_payloads)\b/;

function filesIn(...folders: string[]): { file: string; text: string }[] {
  return folders.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|sql)$/.test(name))
      .map((name) => ({
        file: `${folder}/${name}`,
        text: readFileSync(join(ROOT, folder, name), 'utf8'),
      })),
  );
}

/** The names of prepared statements in the code, as patterns: a name may have parts that vary. */
function namesInCode(): { file: string; pattern: RegExp }[] {
  return filesIn('src').flatMap(({ file, text }) =>
    [
      ...text.matchAll(
        /(?:\bname: (?:named\(\s*)?|\.named\()(?:'([^']+)'|`([^`]+)`|\['(\w+)'[^\n]*|([a-z]\w*))(?:,?\s*\))?,\s*(?:\/\/[^\n]*\s*)*(?:text|rows|rowMode)\b/g,
      ),
    ].map(([, plain, template, first, variable]) => {
      if (variable !== undefined)
        throw new Error(`${file} must write the name ${variable} of its statement where it is`);
      const name = plain ?? template?.replaceAll(/\$\{[^}]+\}/g, '.+') ?? `${first} .*`;
      // A window of history adds its own part.
      return { file, pattern: new RegExp(`^${name}( .+)?$`) };
    }),
  );
}

t.test('every named statement is walked here, or listed as rare', async (t) => {
  const found = namesInCode();
  t.ok(found.length > 30, `${found.length} named statements`);
  for (const { file, pattern } of found) {
    const isHot = [...names].some((name) => pattern.test(name));
    const isRare = Object.keys(RARE).some((name) => pattern.test(name));
    if (isHot === isRare)
      t.fail(
        `the statement ${pattern} of ${file} ${isHot ? 'is walked, and so not rare' : 'must be walked (test/db/hot/), or be in RARE with the reason'}`,
      );
  }
  for (const name of Object.keys(RARE))
    t.ok(
      found.some(({ pattern }) => pattern.test(name)),
      `there is a statement ${name}`,
    );
});

t.test('every file with statements on history is walked here, or listed as rare', async (t) => {
  const onHistory = filesIn('src').filter(({ text }) => HISTORY_TABLES.test(text));
  for (const { file } of onHistory) {
    if (files.has(file) === file in RARE_FILES)
      t.fail(
        `${file} ${files.has(file) ? 'is walked, and so not rare' : 'must be walked (test/db/hot/), or be in RARE_FILES with the reason'}`,
      );
  }
  for (const { file } of filesIn(...SQL_FOLDERS).filter(({ text }) => HISTORY_TABLES.test(text))) {
    const name = file.slice(file.lastIndexOf('/') + 1, -'.sql'.length);
    if (functions.has(name) === name in RARE_FUNCTIONS)
      t.fail(`${file} must be walked (test/db/hot/), or be in RARE_FUNCTIONS with the reason`);
  }
  t.ok(onHistory.length > 10, `${onHistory.length} files`);
});
