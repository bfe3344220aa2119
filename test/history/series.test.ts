import t from 'tap';
import { createPool } from '../../src/db/pool.ts';
import { countMinute, forgetCounts } from '../../src/history/count.sql.ts';
import { DURATION_CLASSES } from '../../src/history/count-rows.sql.ts';
import { percentile, readSeries } from '../../src/history/series.ts';
import { createCounter } from '../../src/maintenance/count.ts';
import { BY_HOUR, BY_MINUTE, COUNTED_BY_HOUR, COUNTED_BY_MINUTE } from '../helpers/counts.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const TENANTS = ['default', 'acme', 'globex'];

/** Inserts webhooks of the last hours, some with attempts minutes later, for three subscriptions of each tenant. */
const HAPPEN = `
  with made as (
    select (overlay(posthorn.uuidv7()::text placing substring(posthorn.uuidv7_floor(
        now() - random() * interval '70 minutes')::text for 13) from 1 for 13))::uuid as id,
      ($1::text[])[1 + floor(random() * 3)::integer] as tenant
    from generate_series(1, $2::integer)
  ), webhooks as (
    insert into posthorn.webhook_payloads (id, accepted_at, tenant, content_type, body)
    select id, posthorn.uuidv7_time(id), tenant, 'application/json', '{}' from made
  ), owed as (
    insert into posthorn.deliveries (webhook_id, subscription_id)
    select made.id, s.id from made join posthorn.subscriptions s using (tenant)
    returning webhook_id, subscription_id
  )
  insert into posthorn.delivery_attempts (webhook_id, subscription_id, at, attempt_number, status, duration_ms)
  select webhook_id, subscription_id, least(now(), posthorn.uuidv7_time(webhook_id) + n * random() * interval '9 minutes'),
    n, (array['success', 'failed', 'timeout', 'blocked'])[1 + floor(random() * 4)::integer]::posthorn.attempt_status,
    floor(exp(random() * 13))
  from owed cross join generate_series(1, 2) as n`;

async function createCounted(t: Parameters<typeof createTestDatabase>[0]) {
  const databaseUrl = await createTestDatabase(t);
  const client = await connect(t, databaseUrl);
  await client.query(`set timezone = 'UTC'`);
  await client.query(`select posthorn.ensure_partitions(current_date - 1, current_date)`);
  await client.query(`insert into posthorn.tenants (id) select unnest($1::text[])`, [
    TENANTS.slice(1),
  ]);
  await client.query(
    `insert into posthorn.subscriptions (url, tenant, event_types)
     select 'http://127.0.0.1:9/', tenant, '{}' from unnest($1::text[]) as tenant, generate_series(1, 3)`,
    [TENANTS],
  );
  await client.query(
    `update posthorn.counting set counted_until = date_trunc('minute', now() - interval '2 hours')`,
  );
  const pool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 4 });
  t.teardown(() => pool.end());
  /** Counts what can be counted now. */
  const count = async () => {
    await client.query('select posthorn.mark_commits()');
    while (await countMinute(pool));
  };
  /** Counts until all minutes are counted that have passed. Transactions of other tests hold it up for a moment. */
  const countAll = async () => {
    const { rows } = await client.query(
      `select date_trunc('minute', now() - interval '1 second') as passed`,
    );
    await until('all minutes are counted', async () => {
      await count();
      const counting = await client.query(
        'select from posthorn.counting where counted_until >= $1',
        [rows[0].passed],
      );
      return counting.rowCount === 1;
    });
  };
  return { databaseUrl, client, pool, count, countAll };
}

t.test(
  'counts equal the history exactly, however many processes count and break off',
  async (t) => {
    const { client, pool, countAll } = await createCounted(t);
    await client.query(HAPPEN, [TENANTS, 2_000]);
    await countMinute(pool);
    let counting = true;
    const counters = Array.from({ length: 3 }, async () => {
      // An error is that of a connection that was ended.
      while (counting && (await countMinute(pool).catch(() => true)));
    });
    try {
      for (let n = 0; n < 20; n += 1)
        await client.query(
          `select pg_terminate_backend(pid) from pg_stat_activity
           where datname = current_database() and pid <> pg_backend_pid() and random() < 0.3`,
        );
    } finally {
      // Without a pool, each count would fail at once, and nothing else would run.
      counting = false;
    }
    await Promise.all(counters);
    await countAll();
    const { rows: counted } = await client.query(COUNTED_BY_MINUTE);
    t.ok(counted.length > 100, `${counted.length} counts of minutes`);
    t.strictSame(counted, (await client.query(BY_MINUTE)).rows);
    t.strictSame((await client.query(COUNTED_BY_HOUR)).rows, (await client.query(BY_HOUR)).rows);
  },
);

t.test(
  'a minute that takes longer to count than other statements may take is counted',
  async (t) => {
    const { databaseUrl, client, count } = await createCounted(t);
    await client.query(HAPPEN, [TENANTS, 500]);
    await count();
    await client.query(`
    update posthorn.counting set counted_until = date_trunc('minute', now() - interval '2 hours');
    truncate posthorn.counts_by_minute, posthorn.counts_by_hour;
    create function public.wait() returns trigger language plpgsql as 'begin perform pg_sleep(1); return null; end';
    create trigger waits after insert on posthorn.counts_by_minute execute function public.wait()`);
    const impatient = createPool({
      connectionString: databaseUrl,
      purpose: 'test',
      max: 1,
      timeoutMs: 500,
    });
    t.teardown(() => impatient.end());
    await t.rejects(countMinute(impatient), 'the statement takes too long');

    const errors: unknown[] = [];
    const counter = createCounter({
      pool: impatient,
      databaseUrl,
      ending: new AbortController().signal,
      loop: {
        succeeded() {},
        failed(error) {
          errors.push(error);
          return 1_000;
        },
      },
    });
    const running = counter.runOnce();
    await until('the first minutes are counted', async () => {
      const { rowCount } = await client.query('select from posthorn.counts_by_minute');
      return (rowCount ?? 0) > 0;
    });
    await client.query('drop trigger waits on posthorn.counts_by_minute');
    await running;
    await counter.stop();
    t.strictSame(errors, []);
    t.strictSame(
      (await client.query(COUNTED_BY_MINUTE)).rows,
      (await client.query(BY_MINUTE)).rows,
    );
  },
);

t.test('a minute is not counted while a transaction that wrote in it is open', async (t) => {
  const { databaseUrl, client, count, countAll } = await createCounted(t);
  await client.query(HAPPEN, [TENANTS, 50]);
  const open = await connect(t, databaseUrl);
  await open.query('begin');
  await open.query(HAPPEN, [TENANTS, 50]);
  for (let n = 0; n < 3; n += 1) await count();
  t.strictSame((await client.query(COUNTED_BY_MINUTE)).rows, [], 'nothing is counted');
  await open.query('commit');
  await countAll();
  const { rows } = await client.query(COUNTED_BY_MINUTE);
  t.strictSame(rows, (await client.query(BY_MINUTE)).rows);
  t.ok(
    rows.reduce((sum, { accepted }) => sum + accepted, 0) > 90,
    'those of the open transaction are in it',
  );
});

t.test('counts outlive the history, and are forgotten after two, 35 and 400 days', async (t) => {
  const { client, pool, countAll } = await createCounted(t);
  await client.query(HAPPEN, [TENANTS, 300]);
  await countAll();
  const before = (await client.query(COUNTED_BY_HOUR)).rows;
  await client.query(
    'truncate posthorn.webhook_payloads, posthorn.deliveries, posthorn.delivery_attempts',
  );
  await countAll();
  await forgetCounts(pool);
  t.strictSame((await client.query(COUNTED_BY_HOUR)).rows, before);
  await client.query(`update posthorn.counts_by_minute set minute = minute - interval '2 days'`);
  await client.query(`update posthorn.counts_by_hour set hour = hour - interval '34 days'`);
  await forgetCounts(pool);
  t.equal((await client.query(COUNTED_BY_MINUTE)).rowCount, 0);
  t.equal((await client.query(COUNTED_BY_HOUR)).rowCount, before.length);
  await client.query(`update posthorn.counts_by_hour set hour = hour - interval '1 day'`);
  await forgetCounts(pool);
  const totals = before.filter(({ subscription_id }) => subscription_id === 0).length;
  t.ok(totals < before.length);
  t.equal((await client.query(COUNTED_BY_HOUR)).rowCount, totals);
  await client.query(`update posthorn.counts_by_hour set hour = hour - interval '364 days'`);
  await forgetCounts(pool);
  t.equal((await client.query(COUNTED_BY_HOUR)).rowCount, totals);
  await client.query(`update posthorn.counts_by_hour set hour = hour - interval '1 day'`);
  await forgetCounts(pool);
  t.equal((await client.query(COUNTED_BY_HOUR)).rowCount, 0);
});

t.test(
  'a series has all periods of its window, and only counts of its tenant and subscription',
  async (t) => {
    const { client, pool, countAll } = await createCounted(t);
    await client.query(HAPPEN, [TENANTS, 500]);
    await countAll();
    const sums = async (where: string) => {
      const { rows } = await client.query(
        `select count(*)::integer as attempts, count(*) filter (where a.status = 'success')::integer as succeeded
       from posthorn.delivery_attempts a join posthorn.subscriptions s on s.id = a.subscription_id
       where a.at < (select counted_until from posthorn.counting) and ${where}`,
      );
      return rows[0];
    };
    const add = (points: readonly { attempts: number; succeeded: number; failed: number }[]) =>
      points.reduce(
        (sum, { attempts, succeeded }) => ({
          attempts: sum.attempts + attempts,
          succeeded: sum.succeeded + succeeded,
        }),
        { attempts: 0, succeeded: 0 },
      );
    for (const [window, periods, ofSubscription] of [
      ['1h', 60, 60],
      ['24h', 144, 24],
      ['7d', 168, 168],
      ['30d', 120, 120],
    ] as const) {
      for (const tenant of TENANTS) {
        const { points, periodMs } = await readSeries(pool, tenant, null, window);
        t.equal(points.length, periods);
        const first = points[0] as { at: Date };
        t.ok(points.every(({ at }, n) => at.getTime() === first.at.getTime() + n * periodMs));
        // Midnight may be the start of the window of a day.
        const since = `a.at >= '${first.at.toISOString()}'`;
        t.strictSame(
          add(points),
          await sums(`${since} and s.tenant = '${tenant}'`),
          `${window} of ${tenant}`,
        );
        t.ok(points.every(({ attempts, p50 }) => (attempts === 0) === (p50 === null)));
      }
      const own = await readSeries(pool, 'default', 1, window);
      t.equal(own.points.length, ofSubscription);
      const since = `a.at >= '${own.points[0]?.at.toISOString()}'`;
      t.strictSame(
        add(own.points),
        await sums(`${since} and s.id = 1`),
        `${window} of a subscription`,
      );
      t.strictSame(add((await readSeries(pool, 'acme', 1, window)).points), {
        attempts: 0,
        succeeded: 0,
      });
    }
  },
);

t.test('a percentile of a series is in the class of the exact percentile', async (t) => {
  const classOf = (ms: number) => DURATION_CLASSES.filter((bound) => bound <= ms).length;
  t.equal(percentile([], 0.5), null);
  for (let round = 0; round < 300; round += 1) {
    const durations = Array.from({ length: 1 + Math.floor(Math.random() * 200) }, () =>
      Math.floor(Math.exp(Math.random() * 13)),
    ).sort((a, b) => a - b);
    const classes = Array(DURATION_CLASSES.length + 1).fill(0);
    for (const ms of durations) classes[classOf(ms)] += 1;
    for (const fraction of [0.5, 0.95, 0.99]) {
      const exact = durations[Math.ceil(fraction * durations.length) - 1] as number;
      const found = percentile(classes, fraction) as number;
      const n = classOf(exact);
      t.ok(
        found >= (DURATION_CLASSES[n - 1] ?? 0) && found <= (DURATION_CLASSES[n] ?? found),
        `${found} for ${exact}, of ${durations.length}`,
      );
    }
  }
});

t.test('GET /v1/stats/series answers with the counts of a window', async (t) => {
  const { databaseUrl, client, countAll } = await createCounted(t);
  await client.query(HAPPEN, [TENANTS, 200]);
  await countAll();
  const posthorn = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'api' });
  const accepted = async (query: string) => {
    const { json, status } = await posthorn.request('GET', `/v1/stats/series?${query}`);
    t.equal(status, 200);
    const sumOf = (count: 'accepted' | 'attempts' | 'succeeded' | 'failed') =>
      json.points.reduce(
        (sum: number, point: Record<string, number>) => sum + (point[count] ?? 0),
        0,
      );
    for (const count of ['accepted', 'attempts', 'succeeded', 'failed'] as const)
      t.equal(json.total[count], sumOf(count), `the total of ${count}, ${query}`);
    t.equal(json.total.attempt_latency_ms.p50 === null, json.total.attempts === 0);
    return json.total.accepted;
  };
  const { rows } = await client.query(
    `select tenant, count(*)::integer as webhooks from posthorn.webhook_payloads
     where accepted_at < (select counted_until from posthorn.counting) group by tenant order by tenant`,
  );
  for (const { tenant, webhooks } of rows)
    t.equal(await accepted(`window=24h&tenant=${tenant}`), webhooks, tenant);
  t.equal(
    await accepted('window=7d&subscription_id=1'),
    rows.find(({ tenant }) => tenant === 'default').webhooks,
    'deliveries of a subscription',
  );
  t.equal(await accepted('window=7d&subscription_id=4711'), 0);
  for (const window of ['2h', '', 'x']) {
    const { status, json } = await posthorn.request('GET', `/v1/stats/series?window=${window}`);
    t.equal(status, 400);
    t.match(json.errors[0], { field: 'query.window' });
  }
});
