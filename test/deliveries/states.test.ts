import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type pg from 'pg';
import t from 'tap';
import { POOL_PLANS } from '../../src/db/planner.ts';
import { createPool } from '../../src/db/pool.ts';
import { inTransaction } from '../../src/db/transaction.ts';
import type { DeliveryState } from '../../src/db/types.ts';
import { cancelDeliveries, cancelOne } from '../../src/deliveries/cancel.sql.ts';
import { cancelDelivery } from '../../src/deliveries/cancel-delivery.sql.ts';
import { cancelWebhook } from '../../src/deliveries/cancel-webhook.sql.ts';
import { deliverAgain } from '../../src/deliveries/deliver-again.sql.ts';
import { expireHeld } from '../../src/deliveries/expire.sql.ts';
import { moveFutureTimes } from '../../src/deliveries/future-times.sql.ts';
import { requeueHandedOver } from '../../src/deliveries/handed-over.sql.ts';
import { holdDeliveries } from '../../src/deliveries/hold.sql.ts';
import type { OwedDelivery } from '../../src/deliveries/load.sql.ts';
import { type AttemptResult, recordAttempts } from '../../src/deliveries/record.sql.ts';
import { reopen } from '../../src/deliveries/reopen.sql.ts';
import { skipSome } from '../../src/deliveries/skip.sql.ts';
import { type From, TRANSITIONS, type TransitionName } from '../../src/deliveries/states.ts';
import { wakeDeliveries } from '../../src/deliveries/wake.sql.ts';
import { createTestDatabase } from '../helpers/database.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const STATES = ['pending', 'held', 'succeeded', 'failed', 'cancelled'] as const;
const ATTEMPTS = 2;
const WORKER = 7;

interface Delivery {
  readonly pool: pg.Pool;
  readonly webhookId: string;
  readonly subscriptionId: number;
}

/** A statement that changes deliveries, in some use of it. */
interface Use {
  /** The transitions that it makes. If a state allows several, the first is made. */
  readonly makes: readonly TransitionName[];
  /** Whether the subscription's deliveries go through its backlog. */
  readonly throughBacklog?: boolean;
  /** In how many seconds the next attempt is due; it has been due for a while if left out. */
  readonly dueInS?: number;
  run(delivery: Delivery): Promise<unknown>;
}

const keysOf = ({ webhookId, subscriptionId }: Delivery) => ({
  webhooks: [webhookId],
  subscriptions: [subscriptionId],
});

function resultOf(
  { webhookId, subscriptionId }: Omit<Delivery, 'pool'>,
  state: AttemptResult['state'],
  retryInMs: number | null = null,
): AttemptResult {
  return {
    webhookId,
    subscriptionId,
    attemptNumber: ATTEMPTS + 1,
    status: state === 'succeeded' ? 'success' : 'failed',
    responseCode: 200,
    errorCode: null,
    error: null,
    durationMs: 1,
    phases: { dns: null, connect: null, tls: null, firstByte: 1, body: 0 },
    timestamp: 1_760_000_000,
    responseExcerpt: null,
    state,
    retryInMs,
    bytes: 2,
  };
}

const owedAgain = (delivery: Delivery) =>
  inTransaction(delivery.pool, (client) => reopen(client, keysOf(delivery), STATES));

const accepted = ({ pool, subscriptionId }: Delivery) =>
  pool.query(
    `select posthorn.accept('{}', '{0}', '{2}', '{application/json}', array[$1::integer], '{default}', '{null}')`,
    [subscriptionId],
  );

const acceptedTwo = ({ pool, subscriptionId }: Delivery) =>
  pool.query(
    `select posthorn.accept('{}{}', '{0,2}', '{2,2}', '{application/json,application/json}',
       array[$1::integer, $1], '{default,default}', '{null,null}')`,
    [subscriptionId],
  );

/** All uses of all statements that change deliveries. */
const USES: Record<string, Use> = {
  'posthorn.accept': { makes: ['accept'], run: acceptedTwo },
  'posthorn.store_webhook': { makes: ['accept'], run: accepted },
  'posthorn.store_webhooks': {
    makes: ['accept'],
    run: ({ pool }) => pool.query(`select posthorn.send_many('{a,a}', '{1,2}')`),
  },
  'posthorn.accept_general': { makes: ['accept'], throughBacklog: true, run: accepted },
  holdDeliveries: {
    makes: ['hold'],
    run: ({ pool, webhookId, subscriptionId }) =>
      holdDeliveries(pool, [
        { webhookId, subscriptionId, attemptCount: ATTEMPTS } as unknown as OwedDelivery,
      ]),
  },
  requeueHandedOver: {
    makes: ['wake'],
    async run({ pool }) {
      // Only a first attempt is handed over.
      await pool.query('update posthorn.deliveries set attempt_count = 0');
      await requeueHandedOver(pool, [WORKER]);
      await pool.query(`update posthorn.deliveries set attempt_count = ${ATTEMPTS}`);
    },
  },
  wakeDeliveries: { makes: ['wake'], run: ({ pool }) => wakeDeliveries(pool, 0, 1) },
  'recordAttempts, successes alone': {
    makes: ['succeed', 'countLate'],
    run: (delivery) => recordAttempts(delivery.pool, [resultOf(delivery, 'succeeded')]),
  },
  'recordAttempts, a success among others': {
    makes: ['succeed', 'countLate'],
    run: (delivery) =>
      recordAttempts(delivery.pool, [
        resultOf({ ...delivery, subscriptionId: 0 }, 'failed'),
        resultOf(delivery, 'succeeded'),
      ]),
  },
  'recordAttempts, to be retried': {
    makes: ['retry', 'countLate'],
    run: (delivery) => recordAttempts(delivery.pool, [resultOf(delivery, 'pending', 1_000)]),
  },
  'recordAttempts, to be retried in order': {
    makes: ['retry', 'countLate'],
    run: (delivery) => recordAttempts(delivery.pool, [resultOf(delivery, 'held', 1_000)]),
  },
  'recordAttempts, a probe that failed': {
    makes: ['retry', 'countLate'],
    run: (delivery) => recordAttempts(delivery.pool, [resultOf(delivery, 'held')]),
  },
  'recordAttempts, the last attempt': {
    makes: ['fail', 'countLate'],
    run: (delivery) => recordAttempts(delivery.pool, [resultOf(delivery, 'failed')]),
  },
  expireHeld: {
    makes: ['expire'],
    run: ({ pool, subscriptionId }) => expireHeld(pool, [{ subscriptionId, afterMs: 1_000 }]),
  },
  cancelOne: {
    makes: ['cancel'],
    run: ({ pool, webhookId, subscriptionId }) => cancelOne(pool, webhookId, subscriptionId),
  },
  cancelDelivery: {
    makes: ['cancel'],
    run: ({ pool, webhookId, subscriptionId }) =>
      cancelDelivery(pool, 'default', webhookId, subscriptionId),
  },
  cancelWebhook: {
    makes: ['cancel'],
    run: ({ pool, webhookId }) => cancelWebhook(pool, 'default', webhookId),
  },
  cancelDeliveries: {
    makes: ['cancel'],
    run: (delivery) => cancelDeliveries(delivery.pool, keysOf(delivery)),
  },
  skipSome: {
    makes: ['skip'],
    run: ({ pool, subscriptionId }) => skipSome(pool, subscriptionId),
  },
  moveFutureTimes: {
    makes: ['correctDue'],
    dueInS: 3_600,
    async run({ pool, webhookId, subscriptionId }) {
      await pool.query(
        `insert into posthorn.delivery_attempts (at, webhook_id, subscription_id, attempt_number, status, duration_ms)
         values (now() + interval '30 minutes', $1, $2, ${ATTEMPTS}, 'failed', 1)`,
        [webhookId, subscriptionId],
      );
      await moveFutureTimes(pool);
    },
  },
  reopen: { makes: ['reopen'], dueInS: 50, run: owedAgain },
  deliverAgain: {
    makes: ['reopen'],
    dueInS: 50,
    run: ({ pool, webhookId, subscriptionId }) =>
      inTransaction(pool, (client) => deliverAgain(client, subscriptionId, [webhookId])),
  },
  'posthorn.retry': {
    makes: ['reopen'],
    dueInS: 50,
    run: ({ pool, webhookId, subscriptionId }) =>
      pool.query('select posthorn.retry($1, $2)', [webhookId, subscriptionId]),
  },
  'posthorn.cancel': {
    makes: ['cancel'],
    run: ({ pool, webhookId }) => pool.query('select posthorn.cancel($1)', [webhookId]),
  },
  'reopen, through a backlog': {
    makes: ['reopen'],
    throughBacklog: true,
    dueInS: 50,
    run: owedAgain,
  },
};

/** The transition that a use has to make of a delivery in this state. */
function transitionOf({ makes }: Use, from: From): TransitionName | undefined {
  return makes.find((name) => {
    const allowed: readonly From[] = TRANSITIONS[name].from;
    return allowed.includes(from) || (from === 'expired' && allowed.includes('failed'));
  });
}

t.test('each statement changes deliveries in the states that the table names', async (t) => {
  const pool = createPool({
    connectionString: await createTestDatabase(t),
    purpose: 'test',
    max: 2,
    settings: POOL_PLANS.delivery,
  });
  t.teardown(() => pool.end());
  await pool.query(
    `select posthorn.ensure_partitions(((now() - interval '1 minute') at time zone 'UTC')::date, (now() at time zone 'UTC')::date)`,
  );
  const subscribe = async (maxInFlight: number | null): Promise<number> => {
    const { rows } = await pool.query<{ id: number }>(
      `insert into posthorn.subscriptions (url, max_in_flight, skip_until)
       values ('http://a.example/', $1, 'ffffffff-ffff-ffff-ffff-ffffffffffff') returning id`,
      [maxInFlight],
    );
    return rows[0]?.id as number;
  };
  const direct = await subscribe(null);
  const throughBacklog = await subscribe(1);

  /** Leaves one delivery in the database, a minute old. */
  async function add(from: From, use: Use): Promise<Delivery> {
    const subscriptionId = use.throughBacklog === true ? throughBacklog : direct;
    const state = from === 'expired' ? 'failed' : from;
    await pool.query(
      'truncate posthorn.webhook_payloads, posthorn.deliveries, posthorn.delivery_attempts, graphile_worker._private_jobs',
    );
    const { rows } = await pool.query<{ id: string }>(
      `with payload as (
         insert into posthorn.webhook_payloads (id, content_type, body)
         values (posthorn.uuidv7_floor(now() - interval '1 minute'), 'application/json', '{}')
         returning id
       )
       insert into posthorn.deliveries (webhook_id, subscription_id, state, reason, attempt_count, next_attempt_at, handed_to)
       -- The time is the same in all states, so that only the state decides.
       select id, $1, $2, $3, ${ATTEMPTS}, now() + $4 * interval '1 second', ${WORKER} from payload
       returning webhook_id as id`,
      [subscriptionId, state, from === 'expired' ? 'expired' : null, use.dueInS ?? -50],
    );
    return { pool, webhookId: rows[0]?.id as string, subscriptionId };
  }

  async function read({ webhookId }: Delivery): Promise<{ state: DeliveryState }> {
    const { rows } = await pool.query<{ row: { state: DeliveryState } }>(
      'select to_jsonb(d) as row from posthorn.deliveries d where webhook_id = $1',
      [webhookId],
    );
    return rows[0]?.row as { state: DeliveryState };
  }

  const reached = new Map<TransitionName, Set<DeliveryState>>();
  const reach = (name: TransitionName, state: DeliveryState) =>
    reached.set(name, (reached.get(name) ?? new Set()).add(state));

  for (const [name, use] of Object.entries(USES)) {
    for (const from of [...STATES, 'expired'] as const) {
      const delivery = await add(from, use);
      const before = await read(delivery);
      await use.run(delivery);
      const after = await read(delivery);
      const transition = transitionOf(use, from);
      if (transition === undefined) {
        t.strictSame(after, before, `${name} changes nothing of ${from}`);
        continue;
      }
      const { to } = TRANSITIONS[transition];
      t.notSame(after, before, `${name} changes ${from}`);
      if (to === 'same') t.equal(after.state, before.state, `${name} leaves ${from}`);
      else {
        t.ok((to as readonly string[]).includes(after.state), `${name}: ${from} → ${after.state}`);
        reach(transition, after.state);
      }
    }
    const inserted = await pool.query<{ state: DeliveryState }>(
      'select state from posthorn.deliveries where attempt_count = 0',
    );
    for (const { state } of inserted.rows) reach('accept', state);
  }

  for (const [name, { to }] of Object.entries(TRANSITIONS))
    if (to !== 'same')
      t.strictSame([...(reached.get(name as TransitionName) ?? [])].sort(), [...to].sort(), name);
});

t.test('every transition is made by a statement', async (t) => {
  const made = new Set(Object.values(USES).flatMap(({ makes }) => makes));
  t.strictSame([...made].sort(), Object.keys(TRANSITIONS).sort());
});

t.test('no statement elsewhere changes deliveries', async (t) => {
  const change = /(?:update|insert into|delete from|merge into)\s+posthorn\.deliveries\b/i;
  const changing = ['src', 'schema/functions', 'schema/views', 'tasks'].flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => /\.(ts|sql)$/.test(name))
      .map((name) => `${folder}/${name}`)
      .filter((file) => change.test(readFileSync(join(ROOT, file), 'utf8'))),
  );
  t.strictSame(changing.filter((file) => !file.startsWith('src/deliveries/')).sort(), [
    'schema/functions/accept.sql',
    'schema/functions/accept_general.sql',
    'schema/functions/cancel_deliveries.sql',
    'schema/functions/reopen.sql',
    'schema/functions/replay_latest.sql',
    'schema/functions/store_webhook.sql',
    'schema/functions/store_webhooks.sql',
  ]);
  t.strictSame(
    changing.filter((file) => file.startsWith('src/deliveries/')).sort(),
    ['deliver-again', 'expire', 'future-times', 'handed-over', 'hold', 'record', 'wake'].map(
      (name) => `src/deliveries/${name}.sql.ts`,
    ),
  );
});
