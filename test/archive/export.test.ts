import { existsSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { withArchiveClient } from '../../src/archive/archive-client.ts';
import { daysBetween, exportDay } from '../../src/archive/export-day.ts';
import { createParquetFile } from '../../src/archive/parquet-file.ts';
import { createPool } from '../../src/db/pool.ts';
import { keepPartitions } from '../../src/maintenance/retention.ts';
import { idAt, startWithHistory } from '../helpers/archive.ts';
import { startCli } from '../helpers/cli.ts';
import { type DuckDbQuery, openDuckDb } from '../helpers/duckdb.ts';
import { collectLog } from '../helpers/log.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const DAY_MS = 86_400_000;
const MIB = 1024 * 1024;
const BODIES = 160;
const today = new Date(Math.floor(Date.now() / DAY_MS) * DAY_MS);
const daysAgo = (n: number) => new Date(today.getTime() - n * DAY_MS);
const name = (day: Date) => day.toISOString().slice(0, 10);
/** A day may begin while a test runs. */
const beforeToday = ['--until', name(today)];

/** What the database and the files have of a table, in the same form. */
const SAME = {
  webhooks: [
    `select id::text as id, (extract(epoch from accepted_at) * 1000000)::bigint::text as at, tenant, event_type, content_type,
       array_to_json(channels)::text as channels, ordering_key, length(body) as bytes
     from posthorn.webhook_payloads where id >= posthorn.uuidv7_floor($1) and id < posthorn.uuidv7_floor($2) order by 1`,
    `select webhook_id::varchar as id, epoch_us(accepted_at)::varchar as "at", tenant, event_type, content_type,
       to_json(channels)::varchar as channels, ordering_key, body_bytes as bytes`,
  ],
  deliveries: [
    `select webhook_id::text as id, subscription_id, state::text, attempt_count, (extract(epoch from ended_at) * 1000000)::bigint::text as ended_at
     from posthorn.deliveries where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2) order by 1, 2`,
    `select webhook_id::varchar as id, subscription_id, state, attempt_count, epoch_us(ended_at)::varchar as ended_at`,
  ],
  attempts: [
    `select id::text, webhook_id::text, subscription_id, (extract(epoch from at) * 1000000)::bigint::text as at, attempt_number,
       status::text, response_code, error_code, error, duration_ms
     from posthorn.delivery_attempts where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2) order by 1`,
    `select attempt_id::varchar as id, webhook_id::varchar as webhook_id, subscription_id, epoch_us("at")::varchar as "at",
       attempt_number, status, response_code, error_code, error, duration_ms`,
  ],
  bodies: [
    `select id::text, content_type, headers->>'x-source' as source, encode(body, 'hex') as body
     from posthorn.webhook_payloads where id >= posthorn.uuidv7_floor($1) and id < posthorn.uuidv7_floor($2) and body is not null order by 1`,
    `select webhook_id::varchar as id, content_type, headers->>'x-source' as source, lower(hex(body)) as body`,
  ],
  answers: [
    `select id::text, response_excerpt from posthorn.delivery_attempts
     where webhook_id >= posthorn.uuidv7_floor($1) and webhook_id < posthorn.uuidv7_floor($2) and response_excerpt is not null order by 1`,
    'select attempt_id::varchar as id, response_excerpt',
  ],
} as const;

async function compare(
  t: Test,
  client: pg.Client,
  duckdb: DuckDbQuery,
  dir: string,
  day: Date,
  tables: readonly (keyof typeof SAME)[],
): Promise<void> {
  for (const table of tables) {
    const [postgres, files] = SAME[table];
    const { rows } = await client.query(postgres, [day, new Date(day.getTime() + DAY_MS)]);
    const order = table === 'deliveries' ? '1, 2' : '1';
    const found = await duckdb(
      `${files} from '${join(dir, table, `${name(day)}.parquet`)}' order by ${order}`,
    );
    t.strictSame(
      JSON.parse(JSON.stringify(found)),
      JSON.parse(JSON.stringify(rows)),
      `${table} of ${name(day)}`,
    );
  }
}

t.test(
  'each day of history is a Parquet file for each table, which other programs read',
  async (t) => {
    const days = [daysAgo(3), daysAgo(2)];
    const { client, dir, run } = await startWithHistory(t, days);
    const first = await run('--since', name(daysAgo(3)), ...beforeToday);
    t.equal(first.code, 0, first.stderr);
    t.match(first.stdout, `${name(daysAgo(3))}  webhooks 20, deliveries 20, attempts 40\n`);
    t.match(
      first.stdout,
      `${name(daysAgo(1))}  webhooks not in the database, deliveries not in the database, attempts not in the database\n`,
    );
    const names = days.map((day) => `${name(day)}.parquet`);
    for (const table of ['webhooks', 'deliveries', 'attempts'])
      t.strictSame(readdirSync(join(dir, table)).sort(), names);
    t.notOk(existsSync(join(dir, 'bodies')), 'no payloads unless they are asked for');
    const withBodies = await run('--since', name(daysAgo(3)), ...beforeToday, '--bodies');
    t.equal(withBodies.code, 0, withBodies.stderr);
    const duckdb = await openDuckDb(t);
    if (duckdb === undefined) {
      t.pass('not read', { skip: '@duckdb/node-api has no program for this machine' });
      return;
    }
    for (const day of days)
      await compare(t, client, duckdb, dir, day, [
        'webhooks',
        'deliveries',
        'attempts',
        'bodies',
        'answers',
      ]);
    const types = await duckdb(
      `select column_name, column_type from (describe select * from '${dir}/webhooks/*.parquet')`,
    );
    t.match(
      types,
      [
        { column_name: 'webhook_id', column_type: 'UUID' },
        { column_name: 'accepted_at', column_type: 'TIMESTAMP WITH TIME ZONE' },
        { column_name: 'tenant', column_type: 'VARCHAR' },
      ],
      'columns have types',
    );
  },
);

t.test(
  'an export that broke off goes on where it was, and --overwrite writes days again',
  async (t) => {
    const { client, dir, run } = await startWithHistory(t, [daysAgo(3), daysAgo(2), daysAgo(1)]);
    const path = join(dir, 'attempts', `${name(daysAgo(2))}.parquet`);
    t.equal((await run('--since', name(daysAgo(3)), '--until', name(daysAgo(1)))).code, 0);
    const { mtimeMs, ino } = statSync(path);
    await client.query(`update posthorn.deliveries set state = 'held'`);
    const second = await run('--since', name(daysAgo(3)));
    t.equal(second.code, 0, second.stderr);
    t.match(second.stdout, `${name(daysAgo(2))}  webhooks there already, deliveries there already`);
    t.match(second.stdout, `${name(daysAgo(1))}  webhooks 20,`);
    t.match(
      second.stderr,
      `${name(daysAgo(1))}: 20 deliveries are unfinished. Export that day again`,
    );
    t.match(statSync(path), { mtimeMs, ino });
    const third = await run('--since', name(daysAgo(2)), '--overwrite');
    t.match(third.stdout, `${name(daysAgo(2))}  webhooks 20, deliveries 20, attempts 40\n`);
    t.not(statSync(path).ino, ino);
  },
);

t.test('a killed export leaves whole files alone, and the next one does the rest', async (t) => {
  const { databaseUrl, client, dir, run } = await startWithHistory(t, [daysAgo(1)]);
  const since = ['--since', name(daysAgo(1)), ...beforeToday];
  await client.query('begin; lock table posthorn.subscriptions');
  const killed = await startCli(t, ['export', '--to', dir, ...since], {
    DATABASE_URL: databaseUrl,
  });
  const second = join(dir, 'deliveries');
  await until(
    'it has begun the second table',
    () => existsSync(second) && readdirSync(second).length > 0,
  );
  killed.kill('SIGKILL');
  await killed.exited;
  await client.query('rollback');
  t.strictSame(readdirSync(join(dir, 'webhooks')), [`${name(daysAgo(1))}.parquet`]);
  t.match(readdirSync(second), [/^\..*\.partial$/]);
  const { code, stdout } = await run(...since);
  t.equal(code, 0);
  t.match(stdout, 'webhooks there already, deliveries 20, attempts 40\n');
});

t.test('a file has its name only when it is whole', async (t) => {
  const dir = t.testdir({});
  const path = join(dir, 'a', '2026-11-01.parquet');
  const file = await createParquetFile(path, { n: 'integer' });
  await file.append([{ n: 1 }]);
  t.equal(readdirSync(join(dir, 'a')).filter((entry) => entry.endsWith('.parquet')).length, 0);
  await file.finish();
  t.strictSame(readdirSync(join(dir, 'a')), ['2026-11-01.parquet']);
  const before = statSync(path).ino;
  const other = await createParquetFile(path, { n: 'integer' });
  await other.append([{ n: 2 }]);
  await other.discard();
  t.strictSame(readdirSync(join(dir, 'a')), ['2026-11-01.parquet']);
  t.equal(statSync(path).ino, before, 'a broken off file leaves the older one');
});

t.test('only the history of a tenant is exported, into a folder of its own', async (t) => {
  const { dir, run } = await startWithHistory(t, [daysAgo(1)], 30);
  const done = await run('--since', name(daysAgo(1)), '--tenant', 'acme', '--bodies');
  t.equal(done.code, 0, done.stderr);
  t.match(done.stdout, 'webhooks 10, deliveries 10, attempts 20, bodies 10, answers 10\n');
  t.ok(existsSync(join(dir, 'tenant=acme', 'webhooks', `${name(daysAgo(1))}.parquet`)));
  t.notOk(existsSync(join(dir, 'webhooks')));
});

t.test(
  'the exit code says whether it was done, failed, was called wrongly, or found no database',
  async (t) => {
    const { dir, run } = await startWithHistory(t, [daysAgo(1)]);
    for (const [args, message] of [
      [[], /required option '--since/],
      [['--since', '2026-02-31x'], /^posthorn: --since is "2026-02-31x"; give a day as/],
      [
        ['--since', name(daysAgo(1)), '--until', name(daysAgo(-3))],
        /^posthorn: --until is .*only whole days/,
      ],
      [['--since', name(daysAgo(1)), '--until', name(daysAgo(1))], /is not before/],
      [['--since', name(daysAgo(1)), '--no-such'], /unknown option/],
    ] as const) {
      const { code, stderr } = await run(...args);
      t.equal(code, 2, message.source);
      t.match(stderr, message);
    }
    const away = await startCli(t, ['export', '--to', dir, '--since', name(daysAgo(1))], {
      DATABASE_URL: 'postgres://nobody@127.0.0.1:1/none',
    });
    t.equal(await away.exited, 5);
    t.match(away.output.stderr, /^posthorn: No Postgres answers/);
    const blocked = join(t.testdir({ file: '' }), 'file');
    const failed = await run('--since', name(daysAgo(1)), '--to', blocked);
    t.equal(failed.code, 1);
    t.match(
      failed.stderr,
      /^posthorn: The export broke off: .*parquet cannot be written: .*Run it again/,
    );
  },
);

t.test('memory holds a part of a day, however many rows and bytes it has', async (t) => {
  const day = daysAgo(1);
  const { databaseUrl, client, dir } = await startWithHistory(t, [day], 3);
  // A delivery with more attempts than a part has rows, and bodies of 1 MiB, more than may be in memory.
  await client.query(
    `insert into posthorn.delivery_attempts (webhook_id, subscription_id, at, duration_ms, status)
     select webhook_id, subscription_id, now(), n, 'failed'
     from (select webhook_id, subscription_id from posthorn.deliveries limit 1 offset 1) d, generate_series(1, 25000) n`,
  );
  await client.query(
    `with noise as materialized (
       select string_agg(sha512(random()::text::bytea), ''::bytea) as body from generate_series(1, 16384)
     )
     insert into posthorn.webhook_payloads (id, content_type, body)
     select ${idAt(`$1::timestamptz + interval '1 hour'`)}, 'application/octet-stream', body || n::text::bytea
     from noise, generate_series(1, ${BODIES}) n`,
    [day],
  );
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  // What is held, and not what a collection has not come to: on a busy machine that is much more.
  const held = () => {
    collect();
    return process.memoryUsage().heapUsed + process.memoryUsage().external;
  };
  const before = held();
  let peak = 0;
  const watch = () => {
    peak = Math.max(peak, held() - before);
  };
  const counted: number[] = [];
  await withArchiveClient(databaseUrl, async (client) => {
    for (const table of ['attempts', 'bodies'] as const)
      counted.push(await exportDay(client, { dir }, table, day, watch));
  });
  t.strictSame(counted, [25_006, BODIES + 3]);
  t.comment(`${Math.round(peak / MIB)} MiB at most`);
  t.ok(peak < 60 * MIB, `${Math.round(peak / MIB)} MiB`);
  const duckdb = await openDuckDb(t);
  if (duckdb === undefined) return;
  t.match(
    await duckdb(
      `select count(*)::integer as n, count(distinct attempt_id)::integer as ids from '${dir}/attempts/*.parquet'`,
    ),
    [{ n: 25_006, ids: 25_006 }],
  );
  t.match(
    await duckdb(
      `select (sum(octet_length(body)) / ${MIB})::integer as mib from '${dir}/bodies/*.parquet'`,
    ),
    [{ mib: BODIES }],
  );
});

t.test('with an archive, a day is dropped only after it was exported', async (t) => {
  const days = daysBetween(daysAgo(12), daysAgo(10));
  const { databaseUrl, client, dir } = await startWithHistory(t, days);
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
  t.teardown(() => pool.end());
  const { log, lines } = collectLog();
  const left = async () => {
    const { rows } = await client.query(
      `select parent, count(*)::integer as n from posthorn.list_partitions()
       where parent <> 'idempotency_keys' and until_at < now() - interval '8 days' group by parent order by parent`,
    );
    return rows;
  };
  const all = ['deliveries', 'delivery_attempts', 'webhook_payloads'].map((parent) => ({
    parent,
    n: 2,
  }));
  const keep = (to: string) =>
    keepPartitions(pool, { retentionMs: 5 * DAY_MS }, log, () => true, { databaseUrl, dir: to });
  const blocked = join(t.testdir({ file: '' }), 'file');
  await t.rejects(keep(blocked), {
    message: /^history of \d{4}-\d\d-\d\d could not be exported: .*parquet cannot be written/,
  });
  t.strictSame(await left(), all, 'nothing is dropped that is not exported');
  t.match(
    lines.find(({ msg }) => msg.includes('could not be exported')),
    { day: name(daysAgo(12)), table: 'deliveries', reason: /cannot be written/ },
  );
  const rows = async (sql: string) => (await client.query(sql)).rows[0].n;
  const attempts = await rows('select count(*)::integer as n from posthorn.delivery_attempts');
  await keep(dir);
  t.strictSame(await left(), []);
  for (const table of ['webhooks', 'deliveries', 'attempts'])
    t.strictSame(
      readdirSync(join(dir, table)).sort(),
      days.map((day) => `${name(day)}.parquet`),
    );
  t.notOk(existsSync(join(dir, 'bodies')));
  const duckdb = await openDuckDb(t);
  if (duckdb === undefined) return;
  t.match(await duckdb(`select count(*)::integer as n from '${dir}/attempts/*.parquet'`), [
    { n: attempts },
  ]);
});

t.test(
  'a service whose archive cannot be written says so, and carries on when it can',
  async (t) => {
    const { databaseUrl, client } = await startWithHistory(t, [daysAgo(3)]);
    const dir = join(t.testdir({ archive: '' }), 'archive');
    const posthorn = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_RETENTION: '1d',
      POSTHORN_ARCHIVE_DIR: dir,
    });
    await client.query(`select graphile_worker.add_job('keep_partitions')`);
    await until('/readyz names it', async () => {
      const { status, json } = await posthorn.request('GET', '/readyz');
      return status === 503 && /keep_partitions/.test(json.detail);
    });
    const days = async () => {
      const { rows } = await client.query(
        `select count(*)::integer as n from posthorn.list_partitions()
       where parent <> 'idempotency_keys' and until_at < now() - interval '1 day'`,
      );
      return rows[0].n;
    };
    t.equal(await days(), 3, 'the history is still there');
    rmSync(dir);
    await until('it works again', async () => {
      const { status } = await posthorn.request('GET', '/readyz');
      return status === 200 && (await days()) === 0;
    });
    for (const table of ['webhooks', 'deliveries', 'attempts'])
      t.strictSame(readdirSync(join(dir, table)), [`${name(daysAgo(3))}.parquet`]);
  },
);

t.test(
  'a partition of several days is exported as files of a day, and stays if that is stopped',
  async (t) => {
    const { databaseUrl, client, dir } = await startWithHistory(t);
    await client.query('select posthorn.ensure_partitions($1::date, $2::date, 3)', [
      name(daysAgo(12)),
      name(daysAgo(10)),
    ]);
    const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 2 });
    t.teardown(() => pool.end());
    const left = async () => {
      const { rows } = await client.query(
        `select from posthorn.list_partitions() where parent <> 'idempotency_keys' and until_at < now() - interval '8 days'`,
      );
      return rows.length;
    };
    const { log } = collectLog();
    const archive = { databaseUrl, dir };
    let asked = 0;
    await client.query('begin; lock table posthorn.subscriptions');
    // The lock keeps the export from ending before it is asked a second time.
    await keepPartitions(pool, { retentionMs: 5 * DAY_MS }, log, () => asked++ === 0, archive);
    await client.query('commit');
    t.equal(await left(), 3, 'stopped while it exports the first');
    await keepPartitions(pool, { retentionMs: 5 * DAY_MS }, log, () => true, archive);
    t.equal(await left(), 0);
    for (const table of ['webhooks', 'deliveries', 'attempts'])
      t.strictSame(
        readdirSync(join(dir, table))
          .filter((entry) => entry.endsWith('.parquet'))
          .sort(),
        [12, 11, 10].map((n) => `${name(daysAgo(n))}.parquet`),
      );
    const duckdb = await openDuckDb(t);
    if (duckdb === undefined) return;
    t.match(
      await duckdb(`select count(*)::integer as n from '${dir}/webhooks/*.parquet'`),
      [{ n: 0 }],
      'a day without webhooks is a file without rows',
    );
  },
);
