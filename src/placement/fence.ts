// The fence of a tenant that moves: the functions are schema/functions/close_tenant.sql and open_tenant.sql.
import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { errorCode, OperatorError } from '../lib/errors.ts';

const LOCK_NOT_AVAILABLE = '55P03';
const DEADLOCK = '40P01';
/** All senders wait for as long as a try waits for its locks, so it gives up soon and lets them pass. */
const LOCK_TIMEOUT_MS = 200;
const TRY_AGAIN_MS = 500;

interface FenceOptions {
  /** For how long it tries. */
  readonly timeoutMs: number;
}

/**
 * Closes a tenant in a database: once this resolves, no transaction can commit a change to it there (a webhook, a
 * setting, a retry, a lease…), whenever that transaction began. What was open before has ended. Workers go on.
 *
 * @throws OperatorError when other transactions have kept it from its locks for `timeoutMs`; it names them. The tenant is
 *   open then.
 */
export async function closeTenant(
  pool: pg.Pool,
  tenant: string,
  options: FenceOptions,
): Promise<void> {
  await inShortTries(pool, 'select posthorn.close_tenant($1)', tenant, options);
}

/**
 * Opens a tenant again that was closed. Nothing happens if it is open.
 *
 * @throws OperatorError as `closeTenant` does.
 */
export async function openTenant(
  pool: pg.Pool,
  tenant: string,
  options: FenceOptions,
): Promise<void> {
  await inShortTries(pool, 'select posthorn.open_tenant($1)', tenant, options);
}

async function inShortTries(
  pool: pg.Pool,
  statement: string,
  tenant: string,
  { timeoutMs }: FenceOptions,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const client = await pool.connect();
    try {
      await client.query(`begin; set local lock_timeout = ${LOCK_TIMEOUT_MS}`);
      await client.query(statement, [tenant]);
      await client.query('commit');
      return;
    } catch (error) {
      await client.query('rollback');
      if (![LOCK_NOT_AVAILABLE, DEADLOCK].includes(errorCode(error) ?? '')) throw error;
      if (performance.now() >= deadline)
        throw new OperatorError(
          `The tenant ${tenant} cannot be closed or opened, because other transactions have sent webhooks or changed something and are still open: ${await openSenders(client)}. End them, and try again.`,
        );
    } finally {
      client.release();
    }
    await sleep(TRY_AGAIN_MS);
  }
}

/** Names the sessions whose locks a fence waits for, the oldest first. */
async function openSenders(client: pg.ClientBase): Promise<string> {
  const { rows } = await client.query<{ pid: number; name: string; seconds: number }>(
    `select a.pid, a.application_name as name, extract(epoch from now() - a.xact_start)::integer as seconds
     from pg_stat_activity a
     where a.datname = current_database() and a.pid <> pg_backend_pid() and exists (
       select from pg_locks l
       where l.pid = a.pid and l.granted and l.mode in ('RowShareLock', 'RowExclusiveLock')
         and l.relation in ('posthorn.webhook_payloads'::regclass, 'posthorn.tenants'::regclass))
     order by a.xact_start
     limit 3`,
  );
  if (rows.length === 0) return 'none is open any more, or it is a prepared transaction';
  return rows
    .map(({ pid, name, seconds }) => `pid ${pid} ("${name}"), open for ${seconds} s`)
    .join(', ');
}
