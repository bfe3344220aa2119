import type pg from 'pg';
import type { Logger } from 'pino';
import { isUnavailable } from '../db/availability.ts';
import { BATCH_PLANS, planWith } from '../db/planner.ts';
import { inTransaction, type Queryable } from '../db/transaction.ts';
import { cancelDeliveries } from '../deliveries/cancel.sql.ts';
import { reopen } from '../deliveries/reopen.sql.ts';
import { TENANT_CLOSED } from '../intake/errors.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { createTurns } from '../lib/turns.ts';
import { BATCH_CHANGES, chooseEnded, chooseOwed, type TaskRow } from './batch.sql.ts';
import { enqueueTask, type TaskKind } from './store.ts';

/** Tasks that are worked on at once, each with a connection. A tenant always leaves one to the others. */
export const TASK_CONNECTIONS = 2;
/** After this time a task gives its place among the running jobs to others, and goes on with a new job. */
const TURN_MS = 1_000;
/** A task that is late catches up by at most this much of its rate. */
const CATCH_UP_SECONDS = 1;

/** The payload of a `run_task` job. */
export interface TaskJob {
  readonly task: string;
  readonly tenant: string;
}

export interface TaskRunner {
  /** Works on a task for a turn, and gives it its next job unless it has ended. */
  run(job: TaskJob): Promise<void>;
  /** Ends turns after the batch under way. */
  stop(): void;
}

export interface TaskRunnerOptions {
  /** For tasks alone, so that a tenant's many tasks hold up nothing else. */
  readonly pool: pg.Pool;
  /** Called with the time until a task's next job is due. */
  readonly wakeIn: (delayMs: number) => void;
  readonly log: Logger;
}

/** Works on tasks, one batch per transaction, so that changes and progress are committed together. */
export function createTaskRunner({ pool, wakeIn, log }: TaskRunnerOptions): TaskRunner {
  let stopping = false;
  const turns = createTurns({ max: TASK_CONNECTIONS });

  async function run(job: TaskJob): Promise<void> {
    const end = await turns.take(job.tenant);
    try {
      await runTurn(job);
    } finally {
      end();
    }
  }

  async function runTurn({ task: id }: TaskJob): Promise<void> {
    const startedAt = performance.now();
    let dueInMs = 0;
    do {
      let batch: Batch | null;
      try {
        batch = await inTransaction(pool, (client) => runBatch(client, id));
      } catch (error) {
        // An outage of the database passes, and so does the close of a tenant that cannot move while it has a task. Any
        // other error would come again with each batch.
        if (isUnavailable(error) || errorCode(error) === TENANT_CLOSED) throw error;
        log.error({ err: error, task: id }, 'a task failed');
        await failTask(pool, id, errorMessage(error));
        return;
      }
      if (batch === null || batch.ended) return;
      dueInMs = batch.dueInMs;
    } while (dueInMs <= 0 && !stopping && performance.now() - startedAt < TURN_MS);
    await enqueueTask(pool, id);
    wakeIn(Math.max(0, dueInMs));
  }

  return {
    run,
    stop() {
      stopping = true;
    },
  };
}

interface Batch {
  readonly ended: boolean;
  readonly changed: number;
  /** The time until the next batch is due. */
  readonly dueInMs: number;
}

/**
 * Runs one batch of a task, as part of the caller's transaction.
 *
 * @returns null when the task has ended, is not due, or is being worked on.
 */
export async function runBatch(client: pg.PoolClient, id: string): Promise<Batch | null> {
  const { rows } = await client.query<TaskRow & { kind: TaskKind; rate: number | null }>(
    `select t.tenant, t.kind, t.rate, t.subscription_id, t.since_id::text, t.until_id::text,
       t.states::text[], t.event_types, t.cursor_at::text, t.cursor_webhook::text, t.cursor_subscription
     from posthorn.tasks t
     where t.id = $1 and t.state in ('waiting', 'running') and t.due_at <= now() + interval '20 milliseconds'
     for update skip locked`,
    [id],
  );
  const [task] = rows;
  if (task === undefined) return null;
  const reopens = task.kind === 'replay' || task.kind === 'recover';
  if (reopens && !(await isThere(client, task))) {
    await end(client, id, 'failed', 'The subscription was deleted meanwhile.');
    return { ended: true, changed: 0, dueInMs: 0 };
  }
  await planWith(client, BATCH_PLANS.choosing);
  const limit = task.rate ?? BATCH_CHANGES;
  const chosen = await (reopens ? chooseEnded : chooseOwed)(client, task, limit);
  await planWith(client, BATCH_PLANS.changing);
  const changed = reopens
    ? (await reopen(client, chosen, task.states)).owed
    : await cancelDeliveries(client, chosen);
  const { cursor } = chosen;
  const moved = await client.query<{ due_in_ms: number }>(
    `update posthorn.tasks
     set state = 'running',
         started_at = coalesce(started_at, now()),
         examined = examined + $2,
         changed = changed + $3,
         cursor_at = coalesce($4::timestamptz, cursor_at),
         cursor_webhook = coalesce($5::uuid, cursor_webhook),
         cursor_subscription = coalesce($6::integer, cursor_subscription),
         due_at = case when rate is null then clock_timestamp()
           else greatest(due_at, clock_timestamp() - interval '${CATCH_UP_SECONDS} seconds')
             + $3 * interval '1 second' / rate end
     where id = $1
     returning ceil(extract(epoch from due_at - clock_timestamp()) * 1000)::integer as due_in_ms`,
    [
      id,
      chosen.examined,
      changed,
      cursor?.cursor_at ?? null,
      cursor?.cursor_webhook ?? null,
      cursor?.cursor_subscription ?? null,
    ],
  );
  if (cursor === null) await end(client, id, 'succeeded', null);
  return { ended: cursor === null, changed, dueInMs: moved.rows[0]?.due_in_ms ?? 0 };
}

async function isThere(client: pg.PoolClient, { subscription_id }: TaskRow): Promise<boolean> {
  const { rowCount } = await client.query(
    'select from posthorn.subscriptions where id = $1 and deleted_at is null',
    [subscription_id],
  );
  return rowCount === 1;
}

async function end(
  client: Queryable,
  id: string,
  state: 'succeeded' | 'failed',
  error: string | null,
): Promise<void> {
  await client.query(
    `update posthorn.tasks set state = $2, ended_at = now(), error = $3
     where id = $1 and state in ('waiting', 'running')`,
    [id, state, error],
  );
}

async function failTask(pool: pg.Pool, id: string, reason: string): Promise<void> {
  await end(pool, id, 'failed', `It was given up: ${reason}.`);
}
