import pg from 'pg';

/** Fills a side's tables directly, because the load generator would take too long. */
async function run(databaseUrl: string, statements: [text: string, values?: unknown[]][]) {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    for (const [text, values] of statements) await client.query(text, values);
  } finally {
    await client.end();
  }
}

const BODY = `'{"type":"order.created","data":{"note":"' || repeat('x', 448) || '"}}'`;

/** Adds webhooks that wait for their first attempt, through the SQL function of intake. */
export async function fillPosthornQueue(
  databaseUrl: string,
  subscriptionId: number,
  count: number,
): Promise<void> {
  const batch = 200;
  await run(databaseUrl, [
    [
      `select count((posthorn.accept(
         convert_to(repeat(${BODY}, ${batch}), 'UTF8'),
         (select array_agg((n - 1) * octet_length(${BODY}) order by n) from generate_series(1, ${batch}) n),
         array_fill(octet_length(${BODY}), array[${batch}]),
         array_fill('application/json'::text, array[${batch}]),
         array_fill($1::integer, array[${batch}]),
         array_fill('default'::text, array[${batch}]),
         array_fill(null::text, array[${batch}]))).ids)
       from generate_series(1, $2 / ${batch})`,
      [subscriptionId, count],
    ],
    ['vacuum analyze'],
  ]);
}

/** The same for the ordinary design. */
export async function fillOrdinaryQueue(
  databaseUrl: string,
  subscriptionId: number,
  count: number,
): Promise<void> {
  await run(databaseUrl, [
    [
      `with stored as (
         insert into ordinary.webhooks (subscription_id, body)
         select $1, convert_to(${BODY}, 'UTF8') from generate_series(1, $2)
         returning id
       )
       select count(*) from stored, graphile_worker.add_job('ordinary_deliver', json_build_object('id', stored.id))`,
      [subscriptionId, count],
    ],
    ['vacuum analyze'],
  ]);
}

/**
 * Adds webhooks whose first attempt failed and whose next attempt is hours away, as the recorder stores
 * them. The next attempts are spread over the coming day.
 */
export async function fillWaitingRetries(
  databaseUrl: string,
  subscriptionId: number,
  count: number,
): Promise<void> {
  await run(databaseUrl, [
    [
      `with ids as materialized (select posthorn.uuidv7() as id, n from generate_series(1, $2) n),
       payloads as (
         insert into posthorn.webhook_payloads (id, content_type, body)
         select id, 'application/json', '{}' from ids
       ), attempts as (
         insert into posthorn.delivery_attempts
           (webhook_id, subscription_id, attempt_number, status, response_code, duration_ms, error_code, error)
         select id, $1, 1, 'failed', 500, 5, 'http_status', 'The receiver answered 500 Internal Server Error.'
         from ids
       )
       insert into posthorn.deliveries
         (webhook_id, subscription_id, attempt_count, next_attempt_at, queued)
       select id, $1, 1, now() + interval '1 hour' + n * interval '1 day' / $2, false from ids`,
      [subscriptionId, count],
    ],
    ['vacuum analyze'],
  ]);
}

/**
 * Adds held deliveries for a subscription whose circuit is open, as intake stores them. Their bodies are
 * numbered in the order of their ids.
 */
export async function fillHeld(
  databaseUrl: string,
  subscriptionId: number,
  count: number,
  orderingKey: string | null = null,
): Promise<void> {
  const batch = 100_000;
  const batches = Array.from(
    { length: Math.ceil(count / batch) },
    (_, nth): [string, unknown[]] => [
      `with ids as materialized (select posthorn.uuidv7() as id, n from generate_series($2::integer, $3) n),
       payloads as (
         insert into posthorn.webhook_payloads (id, content_type, body, ordering_key)
         select id, 'application/json',
           convert_to('{"type":"order.created","data":{"n":' || n || ',"note":"' || repeat('x', 440) || '"}}', 'UTF8'), $4
         from ids
       )
       insert into posthorn.deliveries (webhook_id, subscription_id, state, queued)
       select id, $1, 'held', false from ids`,
      [subscriptionId, nth * batch + 1, Math.min(count, (nth + 1) * batch), orderingKey],
    ],
  );
  await run(databaseUrl, [['set synchronous_commit = off'], ...batches, ['vacuum analyze']]);
}

/** Adds tenants with a subscription to each of the event types. */
export async function fillSubscriptions(
  databaseUrl: string,
  subscription: { readonly url: string; readonly secret: string },
  tenants: readonly string[],
  eventTypes: readonly string[],
): Promise<void> {
  await run(databaseUrl, [
    ['set synchronous_commit = off'],
    ['insert into posthorn.tenants (id) select unnest($1::text[])', [tenants]],
    ['begin'],
    // The triggers work row by row. The next statement stores what they would store.
    ['alter table posthorn.subscriptions disable trigger user'],
    [
      `with added as (
         insert into posthorn.subscriptions (tenant, url, secret, event_types)
         select tenant, $2, $3, array[event_type]
         from unnest($1::text[]) as t (tenant), unnest($4::text[]) as e (event_type)
         returning id, tenant, event_types
       )
       insert into posthorn.subscription_event_types (tenant, event_type, channel, subscription_id)
       select tenant, event_types[1], '', id from added`,
      [tenants, subscription.url, subscription.secret, eventTypes],
    ],
    ['alter table posthorn.subscriptions enable trigger user'],
    ['commit'],
    ['vacuum analyze'],
  ]);
}

/** Adds deliveries that succeeded at the first attempt in the last `days`, evenly for all subscriptions. */
export async function fillHistory(
  databaseUrl: string,
  subscriptionIds: readonly number[],
  count: number,
  days: number,
  progress: (done: number) => void,
): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('set synchronous_commit = off');
    await client.query(
      `select posthorn.ensure_partitions((now() - $1 * interval '1 day')::date, now()::date)`,
      [days],
    );
    const batch = 100_000;
    for (let done = 0; done < count; done += batch) {
      await client.query(
        `with made as materialized (
           select
             -- A UUIDv7 of that moment: its first 48 bits, then those of a new one.
             overlay(posthorn.uuidv7()::text placing left(posthorn.uuidv7_floor(at)::text, 13) from 1 for 13)::uuid as id,
             at, ($2::integer[])[1 + n % cardinality($2::integer[])] as subscription_id, n
           from (
             select n, now() - interval '1 hour' - ($1 - n) * ($3 * interval '1 day' - interval '2 hours') / $1 as at
             from generate_series($4::integer + 1, $4::integer + $5::integer) n
           ) as moments
         ), payloads as (
           insert into posthorn.webhook_payloads (id, accepted_at, content_type, body)
           select id, at, 'application/json', '{"n":1}' from made
         ), deliveries as (
           insert into posthorn.deliveries
             (webhook_id, subscription_id, state, attempt_count, next_attempt_at, ended_at)
           select id, subscription_id,
             (case when n % 50 = 0 then 'failed' else 'succeeded' end)::posthorn.delivery_state, 1, null, at
           from made
         )
         insert into posthorn.delivery_attempts
           (at, webhook_id, subscription_id, attempt_number, status, response_code, duration_ms)
         select at, id, subscription_id, 1,
           (case when n % 50 = 0 then 'failed' else 'success' end)::posthorn.attempt_status,
           case when n % 50 = 0 then 500 else 200 end, 20 + n % 100
         from made`,
        [count, subscriptionIds, days, done, Math.min(batch, count - done)],
      );
      progress(Math.min(count, done + batch));
    }
    await client.query('vacuum analyze');
  } finally {
    await client.end();
  }
}

const COUNTS = 'accepted, success, failed, timeout, blocked, duration_classes, duration_numbers';

/** SQL of the values of these columns, with as many attempts in each of 17 classes of durations. */
const countsWith = (number: string) => `
  16 * ${number}, 16 * ${number}, ${number}, 0, 0, array(select generate_series(4, 20)), array_fill((${number})::bigint, array[17])`;

/**
 * Adds the counts of a busy service, as it keeps them: of each hour of the last `days` for each subscription and for all
 * (0), and of each minute of the last two days.
 */
export async function fillCounts(
  databaseUrl: string,
  subscriptionIds: readonly number[],
  days: number,
): Promise<void> {
  await run(databaseUrl, [
    [
      `insert into posthorn.counts_by_hour (tenant, subscription_id, hour, ${COUNTS})
       select 'default', id, date_trunc('hour', now(), 'UTC') - h * interval '1 hour', ${countsWith('case when id = 0 then 10000 else 10000 / $3 end')}
       from unnest(array[0] || $1::integer[]) as id, generate_series(1, $2 * 24) as h
       on conflict do nothing`,
      [subscriptionIds, days, subscriptionIds.length],
    ],
    [
      `insert into posthorn.counts_by_minute (tenant, minute, ${COUNTS})
       select 'default', date_trunc('minute', now(), 'UTC') - m * interval '1 minute', ${countsWith('170')}
       from generate_series(1, 2880) as m
       on conflict do nothing`,
    ],
    ['vacuum analyze posthorn.counts_by_hour, posthorn.counts_by_minute'],
  ]);
}
