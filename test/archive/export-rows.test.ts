import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import t, { type Test } from 'tap';
import { headOf, linesOf } from '../../src/archive/text-rows.ts';
import { shareOf } from '../../src/cli/export/progress.ts';
import { startWithHistory } from '../helpers/archive.ts';
import { startCli } from '../helpers/cli.ts';
import { openDuckDb } from '../helpers/duckdb.ts';

const DAY_MS = 86_400_000;
const today = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS);
const daysAgo = (n: number) => new Date(today.getTime() - n * DAY_MS);
const MAIN = join(import.meta.dirname, '..', '..', 'src', 'main.ts');

async function start(t: Test, count = 20) {
  const { databaseUrl, client } = await startWithHistory(t, [daysAgo(2), daysAgo(1)], count);
  const run = async (...args: string[]) => {
    const cli = await startCli(t, ['export', ...args], { DATABASE_URL: databaseUrl });
    const code = await cli.exited;
    return { code, ...cli.output };
  };
  return { databaseUrl, client, run };
}

const COLUMNS = {
  at: 'timestamp',
  text: 'text',
  list: 'texts',
  fields: 'json',
  id: 'bigint',
  body: 'bytes',
} as const;
const ROWS = [
  {
    at: '1763000000123456',
    text: 'a "b", c\r\nd',
    list: ['x', 'y "z"'],
    fields: { a: 1 },
    id: '9007199254740991',
    body: Buffer.from([0, 255]),
  },
  { at: '1763000000000007', text: '', list: [], fields: null, id: '1', body: Buffer.alloc(0) },
  { at: null, text: null, list: null, fields: null, id: null, body: null },
];

t.test('CSV quotes what RFC 4180 asks for, and tells an empty text from none', async (t) => {
  t.equal(
    headOf(COLUMNS, 'csv') + linesOf(ROWS, COLUMNS, 'csv'),
    `at,text,list,fields,id,body
2025-11-13T02:13:20.123456Z,"a ""b"", c\r\nd","[""x"",""y \\""z\\""""]","{""a"":1}",9007199254740991,AP8=
2025-11-13T02:13:20.000007Z,"",[],,1,""
,,,,,
`,
  );
});

t.test('NDJSON has a line for each row, in which line ends are escaped', async (t) => {
  const text = headOf(COLUMNS, 'ndjson') + linesOf(ROWS, COLUMNS, 'ndjson');
  const lines = text.trimEnd().split('\n');
  t.equal(lines.length, ROWS.length);
  t.strictSame(JSON.parse(lines[0] as string), {
    at: '2025-11-13T02:13:20.123456Z',
    text: 'a "b", c\r\nd',
    list: ['x', 'y "z"'],
    fields: { a: 1 },
    id: 9007199254740991,
    body: 'AP8=',
  });
  t.strictSame(new Set(Object.values(JSON.parse(lines[2] as string))), new Set([null]));
});

t.test('progress is the part of the time that has been read', async (t) => {
  const [from, until] = [new Date(1_700_000_000_000), new Date(1_700_000_100_000)];
  const id = (ms: number) => {
    const hex = ms.toString(16).padStart(12, '0');
    return `${hex.slice(0, 8)}-${hex.slice(8)}-7000-8000-000000000000`;
  };
  t.equal(shareOf(id(1_700_000_000_000), from, until), 0);
  t.equal(shareOf(id(1_700_000_045_000), from, until), 45);
  t.equal(shareOf(id(1_700_000_200_000), from, until), 100);
});

t.test('a period of each table is exported as the database has it', async (t) => {
  const { client, run } = await start(t);
  // From the middle of a day, to before its last webhooks.
  const since = new Date(daysAgo(2).getTime() + 5_500).toISOString();
  const until = new Date(daysAgo(1).getTime() + 10_500).toISOString();
  const dir = t.testdir({});
  const span = ['--since', since, '--until', until];
  const ids = async (table: string, id: string) => {
    const { rows } = await client.query(
      `select ${id}::text as id from posthorn.${table}
       where ${id} >= posthorn.uuidv7_floor($1) and ${id} < posthorn.uuidv7_floor($2) order by ${id}`,
      [since, until],
    );
    return rows.map((row) => row.id as string);
  };
  const webhooks = await run('webhooks', ...span);
  t.equal(webhooks.code, 0, webhooks.stderr);
  const read = webhooks.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));
  const expected = await ids('webhook_payloads', 'id');
  t.equal(expected.length, 25);
  t.strictSame(
    read.map(({ webhook_id }) => webhook_id),
    expected,
  );
  t.match(webhooks.stderr, 'webhooks: 25 rows\n');
  t.match(read[0], { tenant: 'acme', event_type: 'order.creäted', channels: null });

  const acme = await run('deliveries', ...span, '--tenant', 'acme', '--format', 'csv');
  const lines = acme.stdout.trimEnd().split('\n');
  t.equal(
    lines[0],
    'webhook_id,subscription_id,tenant,state,attempt_count,ended_at,next_attempt_at,reason',
  );
  t.equal(lines.length, 1 + 8);
  t.match(lines[1], /^[0-9a-f-]{36},2,acme,succeeded,2,\d{4}-\d\d-\d\dT[\d:.]{15}Z,,$/);

  const path = join(dir, 'attempts.csv');
  const toFile = ['attempts', ...span, '--format', 'csv', '--to', path, '--json'];
  const attempts = await run(...toFile);
  t.match(JSON.parse(attempts.stdout), { table: 'attempts', file: path, rows: 50 });
  t.equal(JSON.parse(attempts.stdout).bytes, readFileSync(path).length);
  t.match(await run(...toFile), { code: 2, stderr: /exists already\. Give --overwrite/ });
  t.equal((await run(...toFile, '--overwrite')).code, 0);
  t.strictSame(readdirSync(dir), ['attempts.csv'], 'no part is left');

  const bodies = await run('bodies', ...span, '--to', join(dir, 'bodies.ndjson'));
  t.equal(bodies.code, 0, bodies.stderr);
  const duckdb = await openDuckDb(t);
  if (duckdb === undefined) return;
  t.match(
    await duckdb(
      `select count(*)::integer as n, count(distinct attempt_id)::integer as ids,
         count(*) filter (where error = 'No answer.')::integer as failed, count("at")::integer as times
       from read_csv('${path}')`,
    ),
    [{ n: 50, ids: 50, failed: 25, times: 50 }],
  );
  t.match(
    await duckdb(
      `select count(*)::integer as n, count(*) filter (where hex(from_base64(body)) = 'FF00FE80')::integer as binary
       from read_json('${join(dir, 'bodies.ndjson')}')`,
    ),
    [{ n: 25, binary: 3 }],
  );
});

t.test('a closed pipe ends an export quietly, however much there is', async (t) => {
  const { databaseUrl, client } = await start(t, 3);
  await client.query(
    `insert into posthorn.delivery_attempts (webhook_id, subscription_id, at, duration_ms, status)
     select webhook_id, subscription_id, now(), n, 'failed'
     from (select webhook_id, subscription_id from posthorn.deliveries order by webhook_id limit 1) d,
       generate_series(1, 30000) n`,
  );
  const command = `"$0" "$1" export attempts --since 3d | head -n 2; echo "\${PIPESTATUS[0]}"`;
  const { stdout, stderr } = await promisify(execFile)(
    'bash',
    ['--norc', '-c', command, process.execPath, MAIN],
    { env: { PATH: process.env.PATH, DATABASE_URL: databaseUrl }, cwd: t.testdir({}) },
  );
  const [first = '', second = '', code] = stdout.trimEnd().split('\n');
  for (const line of [first, second])
    t.match(JSON.parse(line), { attempt_id: Number, status: /./ });
  t.equal(code, '0');
  t.equal(stderr, '');
});

t.test('wrong options, no database and no room end with the documented exit code', async (t) => {
  const { run } = await start(t, 1);
  for (const [says, ...args] of [
    [/'users' is invalid|Allowed choices/, 'users', '--since', '1h'],
    [/--since is "soon": give a time/, 'attempts', '--since', 'soon'],
    [/is not before --until/, 'attempts', '--since', '1h', '--until', '2h'],
    [/Allowed choices are csv, ndjson, parquet/, 'attempts', '--since', '1h', '--format', 'xml'],
    [/Leave out the table/, 'attempts', '--since', '1h', '--format', 'parquet'],
    [/--format csv is of one table; name it/, '--since', '1h', '--format', 'csv'],
    [/Give the folder .* with --to/, '--since', '2026-11-01'],
    [/--bodies is for Parquet/, 'attempts', '--since', '1h', '--bodies'],
    [/--json is for files/, 'attempts', '--since', '1h', '--json'],
  ] as const) {
    const ended = await run(...args);
    t.match(ended, { code: 2, stdout: '' }, args.join(' '));
    t.match(ended.stderr, says);
    t.match(ended.stderr, /^(posthorn|error): .+\n(\(posthorn --help.*\n)?$/, 'one line');
  }
  const away = await startCli(t, ['export', 'attempts', '--since', '1h'], {
    DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
  });
  t.equal(await away.exited, 5);
  t.match(away.output, { stdout: '', stderr: /^posthorn: No Postgres answers/ });
  const blocked = join(t.testdir({ file: '' }), 'file', 'a.csv');
  const failed = await run('webhooks', '--since', '3d', '--to', blocked);
  t.match(failed, { code: 1, stderr: /^posthorn: The export broke off: .*cannot be written.*\n$/ });
  t.notOk(existsSync(blocked));
  const device = await run('webhooks', '--since', '3d', '--to', '/dev/null', '--overwrite');
  t.match(device, { code: 2, stderr: /\/dev\/null is not a file/ });
  t.ok(statSync('/dev/null').isCharacterDevice());
});
