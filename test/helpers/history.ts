import pg from 'pg';

/** How much of each there is, so that tests can name the bounds. */
export const HISTORY = {
  /** Past days that have history, besides today. */
  days: 4,
  subscriptions: 12_000,
  /** Subscriptions of the tenant `crowd`, which get nothing; their ids come after the others. */
  crowd: 30_000,
  /** Webhooks that ended, with three deliveries each. */
  ended: 250_000,
  held: 200_000,
  /** Of the held ones, those of subscription 1, which has strict order. */
  heldByFirst: 150_000,
  /** Deliveries that wait for a retry, of subscriptions 101 to 200. */
  retries: 50_000,
} as const;

/** SQL for a UUIDv7 of the moment `at` that is unique for `n` and `series`. */
const idOf = (series: number) =>
  `overlay(posthorn.uuidv7_floor(at)::text placing lpad(to_hex(n + ${series} * 1000000), 12, '0') from 25 for 12)::uuid`;

/**
 * SQL that stores webhooks, a delivery of each for every number in `copies`, and perhaps its first attempt.
 */
function store(options: {
  /** Another number for each call, for ids of their own. */
  readonly series: number;
  readonly count: number;
  /** SQL for the moment of webhook `n`. */
  readonly at: string;
  readonly copies: number;
  /** SQL for a delivery's subscription and state, from `n` and `copy`. */
  readonly subscription: string;
  readonly state: string;
  /** SQL for when it is due; null: it has ended. */
  readonly dueAt: string;
  readonly queued?: string;
  readonly attempted: boolean;
}): string {
  const {
    series,
    count,
    at,
    copies,
    subscription,
    state,
    dueAt,
    queued = 'true',
    attempted,
  } = options;
  return `
    with made as materialized (
      select n, at, ${idOf(series)} as id from (select n, ${at} as at from generate_series(1, ${count}) n) as moments
    ), payloads as (
      insert into posthorn.webhook_payloads (id, accepted_at, event_type, content_type, ordering_key, body)
      select id, at, case when n % 1000 = 0 then 'rare.type' else 'order.created' end, 'application/json',
        'key ' || n % 5000, '{"type":"order.created","data":{}}'
      from made
    ), attempts as (
      insert into posthorn.delivery_attempts
        (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
      select at, id, subscription_id, 1,
        (case when n % 20 = 0 then 'failed' else 'success' end)::posthorn.attempt_status, 200, 20
      from (select *, ${subscription} as subscription_id from made cross join (select 1 as copy) as c) as m
      where ${attempted}
    )
    insert into posthorn.deliveries
      (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at, queued)
    select id, ${subscription}, (${state})::posthorn.delivery_state, ${attempted ? 1 : 0}, due, case when due is null then at end,
      ${queued}
    from (
      select *, ${dueAt} as due from made cross join generate_series(1, ${copies}) as copy
    ) as m`;
}

/**
 * Fills a test's database with a million deliveries over several days. Statistics are taken while all have
 * ended, as after a calm night; the backlog and the retries come afterwards, and Postgres does not know of
 * them until `analyze`.
 */
export async function fillHistory(databaseUrl: string): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query(`
      set timezone = 'UTC'; set work_mem = '256MB'; set maintenance_work_mem = '256MB';
      select posthorn.ensure_partitions(current_date - ${HISTORY.days}, current_date + 1);
      insert into posthorn.tenants (id) select 'tenant-' || n from generate_series(0, 299) n;
      insert into posthorn.subscriptions (url, tenant, event_types, ordering, max_in_flight)
      select 'https://receiver.example/' || n,
        case when n <= 1000 then 'default' else 'tenant-' || n % 300 end,
        case when n % 4 = 0 then array['order.created'] when n % 4 = 1 then array['invoice.*'] else array['user.deleted'] end,
        (case when n = 1 then 'strict' else 'none' end)::posthorn.subscription_ordering,
        case when n between 2 and 51 then 1 end
      from generate_series(1, ${HISTORY.subscriptions}) n;
      -- Three want rare.type, three want common.type on the channel rare, and all others one of two types.
      insert into posthorn.tenants (id) values ('crowd');
      insert into posthorn.subscriptions (url, tenant, event_types, channels)
      select 'https://receiver.example/crowd/' || n, 'crowd',
        array[case when n % 10000 = 1 then 'rare.type' when n % 2 = 0 then 'common.type' else 'other.*' end],
        case when n % 10000 = 2 then '{rare}'::text[] when n % 2 = 0 then '{busy}'::text[] end
      from generate_series(1, ${HISTORY.crowd}) n;`);
    // Nothing else takes statistics, or changes plans, at a moment that nobody chose.
    const { rows: tables } = await client.query<{ name: string }>(
      `select oid::regclass::text as name from pg_class
       where relkind = 'r' and relnamespace in ('posthorn'::regnamespace, 'graphile_worker'::regnamespace)`,
    );
    for (const { name } of tables)
      await client.query(`alter table ${name} set (autovacuum_enabled = false)`);
    // Indexes are built faster than they are maintained.
    const { rows: indexes } = await client.query<{ name: string; definition: string }>(
      `select i.indexrelid::regclass::text as name, pg_get_indexdef(i.indexrelid) as definition
       from pg_index i join pg_class c on c.oid = i.indexrelid
       where c.relkind = 'I' and not i.indisunique
         and i.indrelid::regclass::text like any ('{posthorn.deliveries,posthorn.delivery_attempts}')`,
    );
    for (const { name } of indexes) await client.query(`drop index ${name}`);
    await client.query(
      store({
        series: 0,
        count: HISTORY.ended,
        at: `now() - interval '2 hours' - (${HISTORY.ended} - n) * interval '${HISTORY.days - 1} days' / ${HISTORY.ended}`,
        copies: 3,
        subscription: `1 + (n + copy * 7) % ${HISTORY.subscriptions}`,
        state: `case when n % 20 = 0 then 'failed' when n % 100 = 1 then 'cancelled' else 'succeeded' end`,
        dueAt: 'null::timestamptz',
        attempted: true,
      }),
    );
    for (const { definition } of indexes)
      await client.query(definition.replace(' ON ONLY ', ' ON '));
    await client.query('vacuum analyze');
    await client.query(
      store({
        series: 1,
        count: HISTORY.held,
        at: `now() - interval '1 hour' - (${HISTORY.held} - n) * interval '1 day' / ${HISTORY.held}`,
        copies: 1,
        subscription: `case when n % 4 <> 0 then 1 else 2 + (n / 4) % 50 end`,
        state: `'held'`,
        dueAt: 'at',
        queued: 'false',
        attempted: false,
      }),
    );
    await client.query(
      store({
        series: 2,
        count: HISTORY.retries,
        at: `now() - interval '2 hours' - (${HISTORY.retries} - n) * interval '1 day' / ${HISTORY.retries}`,
        copies: 1,
        subscription: `101 + n % 100`,
        state: `'pending'`,
        // The first were due an hour ago, and have lost their jobs; the next are due within a minute, and have
        // none yet; the others are due over the next day.
        dueAt: `now() + case when n <= 500 then interval '-1 hour' when n <= 1000 then interval '30 seconds'
          else n * interval '1 day' / ${HISTORY.retries} + interval '10 minutes' end`,
        queued: 'n <= 500',
        attempted: true,
      }),
    );
  } finally {
    await client.end();
  }
}
