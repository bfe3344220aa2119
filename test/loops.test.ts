// Breaks the statement of each background loop in turn, and sees that it is told: by a warning, a metric and
// /readyz; and that its recovery is told too.
import type pg from 'pg';
import t, { type Test } from 'tap';
import { generateKey } from '../src/keys/format.ts';
import { connect } from './helpers/database.ts';
import { follow } from './helpers/event-stream.ts';
import { subscribeAs } from './helpers/health.ts';
import { collectLog } from './helpers/log.ts';
import { startReceiver } from './helpers/receiver.ts';
import { readRun } from './helpers/run.ts';
import { startTestService, type TestService } from './helpers/service.ts';
import { until } from './helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
/** A loop on a clock runs every minute at the latest. */
const BROKEN_MS = 120_000;
/** A failing loop tries again within 15 s; a loop without work is forgotten after a minute. */
const MENDED_MS = 90_000;

interface Stage {
  readonly posthorn: TestService;
  readonly client: pg.Client;
  readonly send: TestService['request'];
  /** A subscription whose receiver answers 200. */
  readonly pinned: number;
  /** A subscription at whose address no server listens. */
  readonly down: number;
  /** A key that was not used yet. */
  readonly key: string;
}

/** Breaks a loop, repairs it, and makes it run if no timer does. */
interface Fault {
  readonly loops: readonly string[];
  readonly breaks: string;
  readonly mends: string;
  /** Prepares the database before something in it is broken. */
  readonly before?: (t: Test, stage: Stage) => Promise<unknown>;
  readonly poke?: (stage: Stage) => Promise<unknown>;
}

const renamesColumn = (table: string, column: string): Pick<Fault, 'breaks' | 'mends'> => ({
  breaks: `alter table posthorn.${table} rename column ${column} to broken_${column}`,
  mends: `alter table posthorn.${table} rename column broken_${column} to ${column}`,
});
const renamesFunction = (name: string): Pick<Fault, 'breaks' | 'mends'> => ({
  breaks: `alter function posthorn.${name} rename to broken`,
  mends: `alter function posthorn.broken rename to ${name}`,
});
const refuses = (table: string, event: string, when = 'true'): Pick<Fault, 'breaks' | 'mends'> => ({
  breaks: `
    create function posthorn.refuse_${table}() returns trigger language plpgsql as
      $$ begin raise exception 'refused by a test'; end $$;
    create trigger refuse before ${event} on posthorn.${table} for each row when (${when})
      execute function posthorn.refuse_${table}()`,
  mends: `
    drop trigger refuse on posthorn.${table};
    drop function posthorn.refuse_${table}()`,
});

const job = async ({ client }: Stage, task: string, payload: object) =>
  await client.query('select graphile_worker.add_job($1, $2::json)', [
    task,
    JSON.stringify(payload),
  ]);
const endSession = ({ client }: Stage) =>
  client.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name like 'posthorn % session'`);
const none = '00000000-0000-7000-8000-000000000000';

/** Faults that go together: none of them hides another one's loop. Each group has a service of its own. */
const GROUPS: Record<string, readonly Fault[]> = {
  'on a clock': [
    { loops: ['presence'], ...renamesColumn('workers', 'in_flight') },
    {
      loops: ['wake_deliveries'],
      breaks: 'alter view graphile_worker.jobs rename to broken',
      mends: 'alter view graphile_worker.broken rename to jobs',
    },
    { loops: ['wake_tasks'], ...renamesColumn('tasks', 'due_at') },
    { loops: ['expire_held', 'count_receivers'], ...renamesColumn('circuits', 'opened_at') },
    { loops: ['skip_held'], ...renamesColumn('subscriptions', 'skip_until') },
    { loops: ['count_minutes'], ...renamesColumn('counting', 'counted_until') },
    { loops: ['move_future_times'], ...renamesColumn('backlogs', 'owned_at') },
    { loops: ['end_leases'], ...renamesColumn('leases', 'ends_at') },
    { loops: ['delete_temporary'], ...renamesColumn('subscriptions', 'expire_after_ms') },
    { loops: ['send_backfills'], ...renamesColumn('backfill_runs', 'due_at') },
  ],
  'asked by requests': [
    {
      loops: ['mark_commits'],
      ...renamesColumn('commit_marks', 'xid'),
      // It writes marks while something is sent.
      poke: ({ posthorn, pinned }) => posthorn.ingest(pinned, {}, admin),
    },
    {
      loops: ['write_live_views'],
      ...renamesFunction('write_live_views'),
      // It writes them when a day was woken.
      poke: ({ client }) => client.query(`select pg_notify('posthorn_history', '')`),
    },
    {
      loops: ['load_subscriptions'],
      ...renamesColumn('subscriptions', 'retired_secrets'),
      poke: ({ send }) => send('POST', '/ingest/999', {}, admin),
    },
    {
      loops: ['load_keys'],
      ...renamesColumn('keys', 'expires_at'),
      poke: ({ send }) =>
        send('GET', '/v1/subscriptions', undefined, {
          authorization: `Bearer ${generateKey('live')}`,
        }),
    },
    {
      loops: ['load_tenants'],
      ...renamesColumn('tenants', 'deleted_at'),
      poke: ({ send }) => send('GET', '/v1/subscriptions?tenant=acme', undefined, admin),
    },
    {
      loops: ['load_event_types', 'load_public_catalogue'],
      ...renamesColumn('event_types', 'archived_at'),
      poke: ({ send }) =>
        Promise.all([
          send('POST', '/v1/webhooks', { event_type: 'order.created', data: {} }, admin),
          send('GET', '/v1/catalogue'),
        ]),
    },
  ],
  'asked by jobs': [
    {
      loops: ['deliver', 'load_deliveries'],
      ...renamesColumn('webhook_payloads', 'content_type'),
      poke: (stage) =>
        job(stage, 'deliver', { attempt: 1, bytes: 1, webhooks: [none], subscriptions: [1] }),
    },
    {
      loops: ['run_task'],
      ...renamesColumn('tasks', 'state'),
      poke: (stage) => job(stage, 'run_task', { task: none, tenant: 'default' }),
    },
    {
      loops: ['make_partitions', 'keep_partitions'],
      ...renamesFunction('ensure_partitions'),
      // Partitions are made when some have gone.
      breaks: `${renamesFunction('ensure_partitions').breaks};
        do $$ begin
          execute (
            select 'drop table ' || inhrelid::regclass from pg_inherits
            where inhparent = 'posthorn.idempotency_keys'::regclass order by inhrelid desc limit 1);
        end $$`,
      poke: (stage) => job(stage, 'keep_partitions', {}),
    },
    { loops: ['expire_unpulled'], ...renamesColumn('subscriptions', 'url') },
    { loops: ['forget_tasks'], ...renamesColumn('tasks', 'ended_at') },
    { loops: ['forget_counts'], ...renamesColumn('counts_by_hour', 'hour') },
    {
      loops: ['erase_bodies'],
      breaks: 'alter table posthorn.overdue_bodies rename to no_bodies',
      mends: 'alter table posthorn.no_bodies rename to overdue_bodies',
    },
    {
      loops: ['make_indexes'],
      breaks: 'create index broken on only posthorn.deliveries ((1 / (attempt_count * 0)))',
      mends: 'drop index posthorn.broken',
    },
  ],
  'that write what came of attempts': [
    { loops: ['record_attempts'], ...refuses('delivery_attempts', 'insert') },
    {
      loops: ['write_circuits'],
      ...renamesFunction('report_failure'),
      poke: ({ posthorn, down }) => posthorn.ingest(down, {}, admin),
    },
    {
      loops: ['hold_deliveries'],
      ...refuses('deliveries', 'update', `new.state = 'held' and old.state = 'pending'`),
      // A job of before its subscription had to go through the backlog.
      async poke({ posthorn, client, pinned, ...stage }) {
        const webhook = await posthorn.ingest(pinned, {}, admin);
        await client.query(
          `update posthorn.deliveries set state = 'pending', next_attempt_at = now() where webhook_id = $1`,
          [webhook],
        );
        await job({ posthorn, client, pinned, ...stage }, 'deliver', {
          attempt: 1,
          bytes: 1,
          webhooks: [webhook],
          subscriptions: [pinned],
        });
      },
    },
  ],
  'that send what is held': [
    {
      loops: ['send_backlogs'],
      ...renamesFunction('uuidv7_floor'),
      poke: ({ posthorn, pinned }) => posthorn.ingest(pinned, {}, admin),
    },
  ],
  'that note uses': [
    {
      loops: ['note_key_uses'],
      ...refuses('keys', 'update'),
      poke: ({ send, key }) =>
        send('GET', '/v1/tasks', undefined, { authorization: `Bearer ${key}` }),
    },
  ],
  'that own backlogs': [
    {
      loops: ['find_backlogs', 'take_backlogs', 'leave_backlogs'],
      ...renamesColumn('backlogs', 'owner'),
      async poke(stage) {
        // Its owner is to leave the one to others, and gets news of the other, which it does not own.
        const { send, pinned, down } = stage;
        for (const path of [`${pinned}/pause`, `${down}/pause`, `${down}/resume`])
          await send('POST', `/v1/subscriptions/${path}`, undefined, admin);
        await endSession(stage);
      },
    },
  ],
  'that read events': [
    {
      loops: ['stream_events'],
      ...renamesFunction('committed_before'),
      before: (t, { posthorn }) => follow(t, posthorn, '/v1/stream', admin),
    },
  ],
  'of the session': [{ loops: ['session'], ...renamesColumn('workers', 'host'), poke: endSession }],
  'of a worker that was taken for dead': [
    {
      loops: ['own_backlogs', 'take_jobs', 'hand_over'],
      ...renamesColumn('workers', 'host'),
      poke: ({ client }) => client.query('delete from posthorn.workers'),
    },
  ],
};

/** Loops that cannot be broken by themselves in a running service, and where they are tested. */
const ELSEWHERE = {
  // It reads by the same statement as the rounds of `send_backlogs`.
  read_backlogs: 'test/backlog/reader.test.ts',
};

async function prepare(t: Test): Promise<Stage & ReturnType<typeof collectLog>> {
  const { log, lines } = collectLog();
  const posthorn = await startTestService(
    t,
    {
      POSTHORN_ADMIN_KEY: ADMIN_KEY,
      POSTHORN_PUBLIC_CATALOGUE: '*',
      POSTHORN_RETRY_SCHEDULE: '1s,1s,1s,1s,1s,1s,1s,1s,1s,1s',
    },
    log,
  );
  const client = await connect(t, posthorn.databaseUrl);
  const receiver = await startReceiver(t);
  const send: TestService['request'] = (method, path, body, headers) =>
    posthorn.request(method, path, body, headers ?? admin);
  const asAdmin = { ...posthorn, request: send };
  const pinned = await subscribeAs(asAdmin, { url: receiver.url, max_in_flight: 1 });
  const gone = await startReceiver(t);
  await gone.close();
  const down = await subscribeAs(asAdmin, { url: gone.url });
  const made = await send('POST', '/v1/keys', { scopes: ['read'] }, admin);
  const { key } = made.json;
  await posthorn.ingest(pinned, {}, admin);
  await receiver.waitFor(1);
  return { posthorn, client, send, pinned, down, key, log, lines };
}

/** The value of each loop's series. */
async function readMetrics({ url }: TestService, name: string): Promise<Map<string, number>> {
  const text = await (await fetch(`${url}/metrics`)).text();
  const series = text.matchAll(new RegExp(`^${name}\\{loop="(\\w+)"\\} (\\d+)$`, 'gm'));
  return new Map([...series].map(([, loop, value]) => [loop as string, Number(value)]));
}

async function breakAndMend(t: Test, faults: readonly Fault[]): Promise<void> {
  const stage = await prepare(t);
  const { posthorn, client, lines } = stage;
  const loops = faults.flatMap((fault) => fault.loops);
  const poke = async (round: number) => {
    // As long as something is broken a request may be refused, and that is another matter.
    if (round % 20 === 0) for (const fault of faults) await fault.poke?.(stage).catch(() => {});
    await fetch(`${posthorn.url}/metrics`).catch(() => {});
  };
  for (const { before } of faults) await before?.(t, stage);
  for (const { breaks } of faults) await until('it is broken', () => client.query(breaks));
  let round = 0;
  let seen = '';
  const missing = new Set(loops);
  await until(
    'readiness names all that fail',
    async () => {
      await poke(round++);
      const { status, json } = await posthorn.request('GET', '/readyz');
      seen = String(json.detail);
      if (status !== 503) return false;
      const failing = await readMetrics(posthorn, 'posthorn_loop_failing');
      for (const loop of missing) {
        const told = new RegExp(`\\(${loop}\\) since 20\\d\\d-`).test(seen);
        if (told && failing.get(loop) === 1) missing.delete(loop);
      }
      return missing.size === 0;
    },
    BROKEN_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${[...missing]} were not told of; the last was ${seen}`);
  });
  const failures = await readMetrics(posthorn, 'posthorn_loop_failures_total');
  for (const loop of loops) {
    const warnings = lines.filter((line) => line.loop === loop && line.level >= 40);
    t.ok(warnings.length >= 1, `a warning names ${loop}`);
    t.ok((failures.get(loop) ?? 0) >= 2, `failures of ${loop} are counted`);
  }
  // With the service at work on the same tables it may be chosen to break a deadlock.
  for (const { mends } of faults)
    await until('it is mended', async () => await client.query(mends));
  await until(
    'readiness is back',
    async () => {
      await poke(round++);
      const { status, json } = await posthorn.request('GET', '/readyz');
      seen = String(json.detail);
      return status === 200;
    },
    MENDED_MS,
  ).catch((error: Error) => {
    throw new Error(`${error.message}: ${seen}`);
  });
  for (const loop of loops) {
    const recovered = lines.filter((line) => line.loop === loop && line.level === 30);
    t.ok(recovered.length >= 1, `the recovery of ${loop} is logged`);
  }
  const still = await readMetrics(posthorn, 'posthorn_loop_failing');
  t.strictSame(
    [...still.values()].filter((value) => value !== 0),
    [],
    'the metric has fallen',
  );
}

t.setTimeout(1_200_000);

t.test('a background loop that fails is reported, and its recovery too', async (t) => {
  t.jobs = Object.keys(GROUPS).length;
  for (const [name, faults] of Object.entries(GROUPS))
    t.test(`loops ${name}`, { buffered: true }, (t) => breakAndMend(t, faults));
});

t.test('while the database is away there are few lines, and soon after all is well', async (t) => {
  const { posthorn, client, lines } = await prepare(t);
  const { rows } = await client.query('select current_database() as name');
  const server = await connect(t, readRun().adminUrl);
  await server.query(`alter database ${rows[0].name} with allow_connections false`);
  const away = () =>
    server.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [
      rows[0].name,
    ]);
  const before = lines.length;
  const awayAt = performance.now();
  await away();
  const endAt = awayAt + 10_000;
  await until('it was away for a while', () => performance.now() > endAt);
  t.equal((await posthorn.request('GET', '/readyz')).status, 503);
  const awayLines = lines.slice(before);
  t.ok(awayLines.length < 40, `${awayLines.length} lines in 10 s`);
  await server.query(`alter database ${rows[0].name} with allow_connections true`);
  const backAt = performance.now();
  let detail = '';
  await until('all is well', async () => {
    const { status, text } = await posthorn.request('GET', '/readyz');
    detail = text;
    return status === 200;
  }).catch((error: Error) => {
    throw new Error(`${error.message}: ${detail}`);
  });
  t.comment(`${awayLines.length} lines; ready again after ${performance.now() - backAt} ms`);
  await until('that is told', () => lines.some(({ msg }) => /no longer waits/.test(msg)));
});

t.test('every loop is in the table of this test, and has its series from the start', async (t) => {
  const posthorn = await startTestService(t);
  const tested = Object.values(GROUPS).flatMap((faults) => faults.flatMap(({ loops }) => loops));
  const known = new Set([...tested, ...Object.keys(ELSEWHERE)]);
  for (const name of ['posthorn_loop_failing', 'posthorn_loop_failures_total'])
    t.strictSame([...(await readMetrics(posthorn, name)).keys()].sort(), [...known].sort());
});
