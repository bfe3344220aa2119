import type pg from 'pg';
import type { Queryable } from '../db/transaction.ts';
import type { DeliveryState } from '../db/types.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';

export const TASK_KINDS = ['replay', 'recover', 'cancel', 'delete'] as const;
export const TASK_STATES = ['waiting', 'running', 'succeeded', 'failed', 'cancelled'] as const;
export type TaskKind = (typeof TASK_KINDS)[number];
export type TaskState = (typeof TASK_STATES)[number];

/** Selects the deliveries of a task. */
export interface TaskFilter {
  /** Null: all subscriptions of the tenant. */
  readonly subscriptionId: number | null;
  /** Webhooks accepted from `since` on and before `until`; null: no bound. */
  readonly since: Date | null;
  readonly until: Date | null;
  readonly states: readonly DeliveryState[];
  /** Patterns as in subscriptions; null: all webhooks, also those without a type. */
  readonly eventTypes: readonly string[] | null;
}

export interface NewTask extends TaskFilter {
  readonly tenant: string;
  readonly kind: TaskKind;
  /** Deliveries a second; null: no limit. */
  readonly rate: number | null;
}

/** A task as the API shows it. */
export interface Task {
  readonly id: string;
  readonly kind: TaskKind;
  readonly state: TaskState;
  readonly subscription_id: number | null;
  readonly since: Date | null;
  readonly until: Date | null;
  readonly states: DeliveryState[];
  readonly event_types: string[] | null;
  readonly rate: number | null;
  readonly examined: number;
  readonly changed: number;
  /** Progress from 0 to 1; null where it is not known before the end. */
  readonly progress: number | null;
  readonly error: string | null;
  readonly created_at: Date;
  readonly started_at: Date | null;
  readonly ended_at: Date | null;
}

const FIRST_ID = '00000000-0000-0000-0000-000000000000';
const LAST_ID = 'ffffffff-ffff-ffff-ffff-ffffffffffff';

const VISIBLE = `
  id, kind, state, subscription_id,
  case when since_id > '${FIRST_ID}' then posthorn.uuidv7_time(since_id) end as since,
  case when until_id < '${LAST_ID}' then posthorn.uuidv7_time(until_id) end as until,
  states::text[], event_types, rate, examined, changed,
  case
    when state = 'succeeded' then 1
    -- Ended deliveries are visited in the order of time. Owed ones leave the list meanwhile, so null.
    when kind in ('replay', 'recover') and cursor_webhook is null then 0
    when kind in ('replay', 'recover') then round(least(1, greatest(0,
      extract(epoch from posthorn.uuidv7_time(cursor_webhook) - posthorn.uuidv7_time(since_id))
      / greatest(0.001, extract(epoch from posthorn.uuidv7_time(until_id) - posthorn.uuidv7_time(since_id)))
    )), 3)
  end::float8 as progress,
  error, created_at, started_at, ended_at`;

/** The SQLSTATE with which posthorn.begin_task refuses a task. */
const TOO_MANY = '53400';

/** The tenant has the most unfinished tasks that it may have. */
export class TooManyTasksError extends Error {
  override readonly name = 'TooManyTasksError';
}

/**
 * Stores a task and queues the job that works on it.
 *
 * @param client in a transaction.
 * @throws TooManyTasksError
 */
export async function createTask(client: Queryable, task: NewTask): Promise<Task> {
  let id: string | undefined;
  try {
    const { rows } = await client.query<{ id: string }>(
      `select posthorn.begin_task($1, $2, $3, $4, $5, $6::text[]::posthorn.delivery_state[], $7, $8) as id`,
      [
        task.tenant,
        task.kind,
        task.subscriptionId,
        task.since,
        task.until,
        task.states,
        task.eventTypes,
        task.rate,
      ],
    );
    id = rows[0]?.id;
  } catch (error) {
    if (errorCode(error) === TOO_MANY) throw new TooManyTasksError(errorMessage(error));
    throw error;
  }
  // A statement does not see what its functions have written.
  return (await getTask(client, task.tenant, id as string)) as Task;
}

/** Adds a task's job, due with its next batch. */
export async function enqueueTask(client: Queryable, id: string): Promise<void> {
  await client.query('select posthorn.enqueue_task($1)', [id]);
}

/**
 * Adds jobs for tasks whose next batch is overdue by `overdueMs`: their jobs were lost.
 *
 * @returns how many tasks there were.
 */
export async function wakeTasks(pool: pg.Pool, overdueMs: number): Promise<number> {
  const { rows } = await pool.query<{ woken: number }>({
    name: 'wake-tasks',
    text: `
      select count(graphile_worker.add_job(
        'run_task', json_build_object('task', id, 'tenant', tenant), max_attempts => 32767, job_key => 'task ' || id))::integer as woken
      from posthorn.tasks
      where state in ('waiting', 'running') and due_at < now() - $1 * interval '1 millisecond'`,
    values: [overdueMs],
  });
  return rows[0]?.woken ?? 0;
}

/** Returns a task of the tenant, or undefined. */
export async function getTask(
  client: Queryable,
  tenant: string,
  id: string,
): Promise<Task | undefined> {
  const { rows } = await client.query<Task>(
    `select ${VISIBLE} from posthorn.tasks where id = $1 and tenant = $2`,
    [id, tenant],
  );
  return rows[0];
}

/** Returns tasks of the tenant that are older than `before`, the newest first. */
export async function listTasks(
  client: Queryable,
  tenant: string,
  limit: number,
  before: string = LAST_ID,
): Promise<Task[]> {
  const { rows } = await client.query<Task>(
    `select ${VISIBLE} from posthorn.tasks where tenant = $1 and id < $2 order by id desc limit $3`,
    [tenant, before, limit],
  );
  return rows;
}

/**
 * Cancels a task that has not ended. Its changes stay; a batch under way ends first, since it has
 * the row locked.
 *
 * @returns whether it had not ended.
 */
export async function cancelTask(client: Queryable, tenant: string, id: string): Promise<boolean> {
  const { rowCount } = await client.query(
    `update posthorn.tasks set state = 'cancelled', ended_at = now()
     where id = $1 and tenant = $2 and state in ('waiting', 'running')`,
    [id, tenant],
  );
  return rowCount === 1;
}

/** Deletes tasks that ended longer than `keepMs` ago. */
export async function forgetTasks(pool: pg.Pool, keepMs: number): Promise<void> {
  await pool.query(
    `delete from posthorn.tasks where ended_at < now() - $1 * interval '1 millisecond'`,
    [keepMs],
  );
}
