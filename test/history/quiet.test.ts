// Past days on which nothing is unfinished: statements about what is unfinished or recent leave them out, lists come
// to them when a page needs them, and whoever writes to one wakes it.
import pg from 'pg';
import { pino } from 'pino';
import t from 'tap';
import { runBatch } from '../../src/bulk-operations/run.ts';
import { createTask } from '../../src/bulk-operations/store.ts';
import { readEndOfHistory, readLiveHistory } from '../../src/db/live-history.ts';
import { type Plans, POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { createSession } from '../../src/db/session.ts';
import { floorOf } from '../../src/db/uuidv7.ts';
import { cancelDelivery } from '../../src/deliveries/cancel-delivery.sql.ts';
import { cancelWebhook } from '../../src/deliveries/cancel-webhook.sql.ts';
import { holdDeliveries } from '../../src/deliveries/hold.sql.ts';
import { leaseDeliveries } from '../../src/deliveries/leases.sql.ts';
import { loadOwed } from '../../src/deliveries/load.sql.ts';
import { readBody } from '../../src/deliveries/payloads.sql.ts';
import { recordAttempts } from '../../src/deliveries/record.sql.ts';
import { wakeDeliveries } from '../../src/deliveries/wake.sql.ts';
import { subscriptionHealth } from '../../src/health/health.sql.ts';
import { listAttempts } from '../../src/history/attempts.ts';
import { listDeliveries } from '../../src/history/deliveries.ts';
import { searchWebhooks } from '../../src/history/search.ts';
import { readStats } from '../../src/history/stats.ts';
import { tryFilter } from '../../src/history/try-filter.ts';
import { readWaiting } from '../../src/history/waiting.sql.ts';
import { listWebhooks } from '../../src/history/webhooks.ts';
import { createLiveViews } from '../../src/maintenance/live-views.ts';
import { noteQuietHistory } from '../../src/maintenance/quiet-history.ts';
import { keepPartitions } from '../../src/maintenance/retention.ts';
import { countQueue } from '../../src/metrics/queue-counts.sql.ts';
import { findProblems } from '../../src/why/receiver-problems.sql.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { anyLoop } from '../helpers/loops.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

const DAYS = 80;
/** Partitions of a table that one statement may lock: the first windows have today, three past days and a week ahead. */
const MOST_LOCKED = 24;
/** For what looks at the attempts of a month. */
const MONTH_LOCKED = 48;

t.setTimeout(600_000);
const databaseUrl = await createTestDatabase(t);
const client = await connect(t, databaseUrl);
// As the lists of the service, on one connection, so that a test may ask what its transaction has locked.
const poolWith = (settings: Plans) => {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: 1,
    options: Object.entries(settings)
      .map(([name, value]) => `-c ${name}=${value}`)
      .join(' '),
  });
  t.teardown(() => pool.end());
  return pool;
};
const listPool = poolWith(POOL_PLANS.lists);
const pool = listPool;

await client.query(`set timezone = 'UTC'`);
for (let day = DAYS; day > 0; day -= 20)
  await client.query(
    `select posthorn.ensure_partitions(current_date - $1::integer, current_date - $2::integer, 1)`,
    [day, day - 20],
  );
await client.query(`insert into posthorn.tenants (id) values ('small')`);
await client.query(
  `insert into posthorn.subscriptions (url, tenant, event_types)
   values ('https://often.example', 'default', '{}'), ('https://seldom.example', 'default', '{}'),
     ('https://small.example', 'small', '{}'), (null, 'default', '{}')`,
);
/** Subscriptions whose receivers pull. */
const PULLS = 4;

/** Stores a webhook of `daysAgo` with a delivery and its attempt, which is `laterDays` after it. */
async function store(subscription: number, daysAgo: number, laterDays = 0): Promise<string> {
  const { rows } = await client.query<{ id: string }>(
    `with w as (
       insert into posthorn.webhook_payloads (id, accepted_at, tenant, event_type, content_type, body)
       select overlay(posthorn.uuidv7()::text placing left(posthorn.uuidv7_floor(at)::text, 13) from 1 for 13)::uuid, at,
         (select tenant from posthorn.subscriptions where id = $1), 'order.created', 'application/json', '{}'
       from (select now() - $2 * interval '1 day' as at) as m
       returning id, accepted_at
     ), d as (
       insert into posthorn.deliveries (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at, queued)
       select id, $1, 'failed', 1, null, accepted_at + $3 * interval '1 day', true from w
     )
     insert into posthorn.delivery_attempts
       (at, webhook_id, subscription_id, attempt_number, status, response_code, error_code, duration_ms)
     select accepted_at + $3 * interval '1 day', id, $1, 1, 'failed', 500, 'http_status', 5 from w
     returning webhook_id as id`,
    [subscription, daysAgo, laterDays],
  );
  return rows[0]?.id as string;
}

const often: string[] = [];
for (let day = 0; day < DAYS; day++) often.push(await store(1, day + 0.01));
const [seldomOld, seldomNew] = [await store(2, 70), await store(2, 40)];
// Its attempt is younger than that of the next one.
const retriedLate = await store(3, 60, 50);
const small = await store(3, 30);
const pulled = [await store(PULLS, 50), await store(PULLS, 45)] as const;
await noteQuietHistory(pool);
const writeViews = () => client.query(`select posthorn.write_live_views('pull')`);
await writeViews();
const PULL = { most: 10, maxBytes: 1_000_000, leaseMs: 60_000 };

const RESULT = {
  attemptNumber: 2,
  status: 'success',
  responseCode: 200,
  errorCode: null,
  error: null,
  durationMs: 5,
  phases: { dns: null, connect: null, tls: null, firstByte: 1, body: 0 },
  timestamp: 1_760_000_000,
  responseExcerpt: null,
  state: 'succeeded',
  retryInMs: null,
  bytes: 2,
} as const;
const OWED = {
  tenant: 'default',
  scheduleOffset: 0,
  probeCount: 0,
  handedTo: null,
  contentType: 'application/json',
  sourceHeaders: null,
  dueAt: 0,
  bytes: 2,
  body: null,
  ownBody: true,
  problem: null,
} as const;

const count = async (text: string) =>
  Number((await client.query<{ n: string }>(`select ${text} as n`)).rows[0]?.n);

const liveRanges = async () => (await readLiveHistory(pool)).where('id').split(' or ').length;

t.test('past days without unfinished deliveries are quiet', async (t) => {
  const quiet = await count('(select count(*) from posthorn.quiet_history)');
  t.ok(quiet >= DAYS - 4 && quiet < DAYS, `${quiet} days`);
  t.equal(await liveRanges(), 2, 'before the first partition, and the latest ones');
});

t.test('coming days are left out, unless a wrong clock has dated a webhook there', async (t) => {
  // The end is remembered for each pool.
  const end = () => readEndOfHistory({ query: pool.query.bind(pool) });
  const inDays = (days: number) => floorOf(new Date(Date.now() + days * 86_400_000));
  const now = (await end()) as string;
  t.ok(now > inDays(1) && now <= inDays(2), now);
  const ahead = inDays(4);
  await client.query(
    `insert into posthorn.webhook_payloads (id, content_type, body) values ($1, 'text/plain', '')`,
    [ahead],
  );
  t.equal(await end(), null);
  await client.query('delete from posthorn.webhook_payloads where id = $1', [ahead]);
});

/** The most partitions of a table of history that the work has locked at a time, in one transaction. */
async function lockedBy(
  work: (pool: pg.Pool) => Promise<unknown>,
  pool: pg.Pool = listPool,
): Promise<number> {
  await pool.query('begin');
  try {
    await work(pool);
    const { rows } = await pool.query<{ n: number }>(
      `select coalesce(max(n), 0) as n from (
         select count(distinct l.relation)::integer as n
         from pg_locks l
         join pg_inherits i on i.inhrelid = l.relation
         join pg_class c on c.oid = i.inhparent and c.relkind = 'p'
         where l.pid = pg_backend_pid()
         group by i.inhparent) as of_tables`,
    );
    return rows[0]?.n ?? 0;
  } finally {
    await pool.query('rollback');
  }
}

t.test(
  `of ${DAYS} days, statements lock and plan only the latest and those with something to find`,
  async (t) => {
    const tenant = 'default';
    const works: Record<string, (pool: pg.Pool) => Promise<unknown>> = {
      'a page of webhooks': (pool) => listWebhooks(pool, { tenant }, 4, undefined),
      'a page of webhooks far back': (pool) =>
        listWebhooks(pool, { tenant }, 4, [often[60] as string]),
      'a page of webhooks of a subscription': (pool) =>
        searchWebhooks(pool, { tenant, subscriptionId: 1 }, 4, undefined),
      'a page of webhooks with an answer': (pool) =>
        searchWebhooks(pool, { tenant, responseCode: 500, subscriptionId: 1 }, 4, undefined),
      'webhooks that wait': (pool) =>
        searchWebhooks(pool, { tenant, state: 'pending' }, 100, undefined),
      'a page of deliveries': (pool) => listDeliveries(pool, { tenant }, 4, undefined),
      'a page of deliveries far back': (pool) =>
        listDeliveries(pool, { tenant }, 4, [often[60] as string, '1']),
      'deliveries that wait': (pool) =>
        listDeliveries(pool, { tenant, state: 'held' }, 100, undefined),
      'a page of attempts': (pool) =>
        listAttempts(pool, { tenant, subscriptionId: 1 }, 4, undefined),
      'the figures of an hour': (pool) => readStats(pool, tenant, null, 3_600_000),
      'the problems of an hour': (pool) =>
        findProblems(
          pool,
          { tenant, subscriptionId: undefined, windowMs: 3_600_000 },
          100,
          undefined,
        ),
      'what waits': (pool) => readWaiting(pool, tenant),
      'what waits, for the metrics': (pool) => countQueue(pool),
      pulling: (pool) => leaseDeliveries(pool, PULLS, PULL),
      'waking what is due': (pool) => wakeDeliveries(pool, 10_000, 30_000),
    };
    for (const [what, work] of Object.entries(works)) {
      const locked = await lockedBy(work);
      t.ok(locked <= MOST_LOCKED, `${what}: ${locked} partitions`);
    }
  },
);

t.test('what sends webhooks locks only days near theirs, with plans that are kept', async (t) => {
  const sending = poolWith(POOL_PLANS.delivery);
  for (const [when, id, most] of [
    ['today', often[0] as string, 3],
    ['sixty days ago', often[60] as string, 1],
  ] as const) {
    const keys = { webhooks: [id, id], subscriptions: [1, 2] };
    const delivery = { webhookId: id, subscriptionId: 1, attemptCount: 1 };
    const result = { ...delivery, ...RESULT };
    const works: Record<string, (pool: pg.Pool) => Promise<unknown>> = {
      'loading a delivery': (pool) => loadOwed(pool, { webhooks: [id], subscriptions: [1] }),
      'loading deliveries': (pool) => loadOwed(pool, keys),
      'loading held deliveries': (pool) => loadOwed(pool, keys, 'held'),
      'loading a body': (pool) => readBody(pool, id),
      'recording a success': (pool) => recordAttempts(pool, [result]),
      'recording a failure': (pool) =>
        recordAttempts(pool, [{ ...result, status: 'failed', state: 'pending', retryInMs: 1_000 }]),
      holding: (pool) => holdDeliveries(pool, [{ ...OWED, ...delivery }]),
      'cancelling a delivery': (pool) => cancelDelivery(pool, 'default', id, 1),
      'cancelling a webhook': (pool) => cancelWebhook(pool, 'default', id),
    };
    for (const [what, work] of Object.entries(works)) {
      const locked = await lockedBy(work, sending);
      t.ok(locked > 0 && locked <= most, `${what}, accepted ${when}: ${locked} partitions`);
    }
  }
});

/** Reads a list to its end, in pages. */
async function readAll<Row>(
  page: (
    after: readonly string[] | undefined,
  ) => Promise<{ rows: readonly Row[]; next: readonly string[] | null }>,
): Promise<Row[]> {
  const rows: Row[] = [];
  let after: readonly string[] | undefined;
  for (;;) {
    const found: { rows: readonly Row[]; next: readonly string[] | null } = await page(after);
    rows.push(...found.rows);
    if (found.next === null) return rows;
    after = found.next;
  }
}

t.test('lists find everything once and in their order, in pages of any size', async (t) => {
  for (const limit of [1, 3, 7, 79, 80, 1000]) {
    const tenant = 'default';
    const webhooks = await readAll((after) => listWebhooks(pool, { tenant }, limit, after));
    const sorted = [...often, seldomOld, seldomNew, ...pulled].sort().reverse();
    t.strictSame(
      webhooks.map(({ webhook_id }) => webhook_id),
      sorted,
      `webhooks by ${limit}`,
    );
    const deliveries = await readAll((after) => listDeliveries(pool, { tenant }, limit, after));
    t.strictSame(
      deliveries.map(({ webhook_id }) => webhook_id),
      sorted,
      `deliveries by ${limit}`,
    );
    for (const [what, read] of Object.entries({
      deliveries: (after?: readonly string[]) =>
        listDeliveries(pool, { tenant, subscriptionId: 2 }, limit, after),
      attempts: (after?: readonly string[]) =>
        listAttempts(pool, { tenant, subscriptionId: 2 }, limit, after),
      webhooks: (after?: readonly string[]) =>
        searchWebhooks(pool, { tenant, subscriptionId: 2 }, limit, after),
    }))
      t.strictSame(
        (await readAll<{ webhook_id: string }>(read)).map(({ webhook_id }) => webhook_id),
        [seldomNew, seldomOld],
        `two ${what} of ${DAYS} days by ${limit}`,
      );
    t.strictSame(
      (await readAll((after) => listAttempts(pool, { tenant: 'small' }, limit, after))).map(
        ({ webhook_id }) => webhook_id,
      ),
      [retriedLate, small],
      `attempts by their own time by ${limit}`,
    );
    t.strictSame(
      (
        await readAll((after) =>
          searchWebhooks(pool, { tenant: 'small', responseCode: 500 }, limit, after),
        )
      ).map(({ webhook_id }) => webhook_id),
      [retriedLate, small],
      `webhooks by the time of the attempt by ${limit}`,
    );
  }
  t.equal(
    (
      await readAll((after) =>
        listDeliveries(
          pool,
          { tenant: 'default', since: new Date(Date.now() - 10 * 86_400_000) },
          3,
          after,
        ),
      )
    ).length,
    10,
  );
});

t.test(
  'a replay of all days reaches each of them once, a part of them in each batch',
  async (t) => {
    const client = await pool.connect();
    await client.query('begin');
    try {
      const { id } = await createTask(client, {
        tenant: 'default',
        kind: 'replay',
        subscriptionId: 1,
        since: null,
        until: null,
        states: ['failed'],
        eventTypes: null,
        rate: null,
      });
      const changed: number[] = [];
      for (let ended = false; !ended; ) {
        // Time stands still in a transaction.
        await client.query('update posthorn.tasks set due_at = now() where id = $1', [id]);
        const batch = await runBatch(client, id);
        changed.push(batch?.changed ?? 0);
        ended = batch?.ended ?? true;
      }
      t.equal(
        changed.reduce((sum, number) => sum + number),
        often.length,
      );
      t.ok(Math.max(...changed) <= MOST_LOCKED, `${changed}`);
    } finally {
      await client.query('rollback');
      client.release();
    }
  },
);

t.test('a filter is tried on the latest webhooks, however far back they are', async (t) => {
  const tried = await tryFilter(pool, 'small', { filter: '$', event_types: null, channels: null });
  t.strictSame(
    tried.map(({ webhook_id }) => webhook_id),
    [small, retriedLate],
  );
});

t.test(
  'who retries a delivery of a quiet day wakes that day, in the same transaction',
  async (t) => {
    const other = await connect(t, databaseUrl);
    const held = async () =>
      (await listDeliveries(pool, { tenant: 'default', state: 'pending' }, 10, undefined)).rows;
    await other.query('begin');
    await other.query('select posthorn.retry($1)', [seldomOld]);
    t.strictSame(await held(), []);
    // Another one of the same day does not wait for it.
    await client.query('select posthorn.retry($1)', [often.find((id) => id > seldomOld) as string]);
    await client.query('select posthorn.cancel($1)', [
      often.find((id) => id > seldomOld) as string,
    ]);
    const before = performance.now();
    await noteQuietHistory(pool);
    t.ok(
      performance.now() - before < TOLD_MS,
      'an open transaction holds up the loop no longer than its lock timeout',
    );
    await other.query('commit');
    t.match(await held(), [{ webhook_id: seldomOld }]);
    t.equal(await liveRanges(), 3, 'that day too');
    await client.query('select posthorn.cancel($1)', [seldomOld]);
    await noteQuietHistory(pool);
    t.equal(await liveRanges(), 2, 'it is quiet again');
    t.equal(await count('(select count(*) from posthorn.woken_history)'), 0);
  },
);

for (const ordering of ['none', 'strict'])
  t.test(
    `a receiver that pulls gets what was retried in a quiet day, with order ${ordering}`,
    async (t) => {
      await client.query('update posthorn.subscriptions set ordering = $2 where id = $1', [
        PULLS,
        ordering,
      ]);
      const pull = async () => {
        await pool.query('begin');
        const { deliveries } = await leaseDeliveries(pool, PULLS, PULL);
        await pool.query('rollback');
        return deliveries.map(({ webhookId, eventType }) => `${webhookId} ${eventType}`);
      };
      const [older, newer] = pulled.map((id) => `${id} order.created`) as [string, string];
      // In strict order, the older one has to be acknowledged first.
      const both = ordering === 'strict' ? [older] : [older, newer];
      t.strictSame(await pull(), []);
      await client.query('select posthorn.retry($1)', [pulled[1]]);
      t.strictSame(await pull(), [newer], 'before its views are written');
      await writeViews();
      t.strictSame(await pull(), [newer], 'afterwards');
      await client.query('select posthorn.retry($1)', [pulled[0]]);
      t.strictSame(await pull(), both, 'of a day in the views and an older one that is not');
      await writeViews();
      t.strictSame(await pull(), both);
      for (const id of pulled) await client.query('select posthorn.cancel($1)', [id]);
      await noteQuietHistory(pool);
      await writeViews();
      const locked = await lockedBy((pool) => leaseDeliveries(pool, PULLS, PULL));
      t.ok(locked <= MOST_LOCKED, `${locked} partitions, when these days are quiet again`);
    },
  );

t.test('an attempt in a quiet day wakes it too', async (t) => {
  await client.query(
    `insert into posthorn.delivery_attempts (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
     values (now(), $1, 2, 2, 'success', 200, 5)`,
    [seldomNew],
  );
  const { rows } = await listAttempts(pool, { tenant: 'default' }, 1, undefined);
  t.match(rows, [{ webhook_id: seldomNew, status: 'success' }]);
});

t.test('SQL reports read only the days that matter, and soon those that are woken', async (t) => {
  const viewPool = createPool({ connectionString: databaseUrl, purpose: 'test', max: 1 });
  const session = createSession({
    databaseUrl,
    purpose: 'test',
    loop: anyLoop,
    log: pino({ enabled: false }),
  });
  const views = createLiveViews(viewPool, session, anyLoop);
  await session.start();
  t.teardown(async () => {
    await views.stop();
    await session.stop();
    await viewPool.end();
  });
  await views.runOnce();
  const health = (id: number) => subscriptionHealth(listPool, 'default', id);
  const locked = await lockedBy((pool) => subscriptionHealth(pool, 'default', 1));
  t.ok(locked <= MONTH_LOCKED, `the health of a subscription: ${locked} partitions`);
  const report = `select held, oldest_held_at, attempts_last_day, last_error from posthorn.subscription_health`;
  t.ok((await lockedBy((pool) => pool.query(report))) <= MOST_LOCKED);
  t.match(await health(1), { recent_error_code: 'http_status', held: 0 });

  await client.query('update posthorn.subscriptions set max_in_flight = 1 where id = 2');
  await client.query('select posthorn.retry($1)', [seldomOld]);
  await until('the report has what was retried', async () => (await health(2))?.held === 1);
});

t.test(
  'a day is dropped while webhooks are sent, and no sending statement waits for it',
  async (t) => {
    const sending = createPool({
      connectionString: databaseUrl,
      purpose: 'test',
      max: 1,
      settings: { ...POOL_PLANS.delivery, lock_timeout: '200ms' },
    });
    const retention = createPool({ connectionString: databaseUrl, purpose: 'retention', max: 2 });
    const open = await connect(t, databaseUrl);
    t.teardown(() => Promise.all([sending.end(), retention.end()]));
    const [id] = often as [string];
    const send = async () => {
      await loadOwed(sending, { webhooks: [id, id], subscriptions: [1, 2] });
      await holdDeliveries(sending, [
        { ...OWED, webhookId: id, subscriptionId: 1, attemptCount: 1 },
      ]);
      await recordAttempts(sending, [{ ...RESULT, webhookId: id, subscriptionId: 1 }]);
      await sending.query(`select posthorn.send('order.created', '{}')`);
    };
    await send();
    const oldest = async () =>
      (await client.query('select min(from_at) as day from posthorn.list_partitions()')).rows[0]
        .day;
    const before = await oldest();

    // Detaching waits for a transaction that has used the table, whichever of its days.
    await open.query('begin');
    await open.query(`select from posthorn.deliveries where webhook_id = '${id}'`);
    const kept = keepPartitions(
      retention,
      { retentionMs: (DAYS - 1) * 86_400_000 },
      pino({ enabled: false }),
    );
    await until('the oldest day is being detached', async () =>
      count(
        `exists (select from pg_stat_activity where wait_event_type = 'Lock' and query like '%detach partition%')::integer`,
      ),
    );
    await t.resolves(send(), 'nothing waits for a lock');
    await open.query('commit');
    await kept;
    t.ok((await oldest()) > before, 'the oldest day has gone');
    await t.resolves(send());
  },
);
