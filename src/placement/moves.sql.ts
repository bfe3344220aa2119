// The statements on the table `moves` of the directory: which tenants are being moved, and how far that has come.
import type pg from 'pg';
import { LOCK_SPACE } from '../db/advisory-locks.ts';

/** The phases of a move, in their order. `undo` takes back the first four. After the switch to `open`, a move can only be finished. */
export type Phase = 'prepare' | 'copy' | 'pause' | 'close' | 'open' | 'clean up' | 'undo';

/** A move that is not finished. */
export interface Move {
  readonly source: string;
  readonly target: string;
  readonly phase: Phase;
  /** By the clock of the source, which says what has changed since. */
  readonly startedAt: Date;
}

/** Returns the unfinished move of a tenant, or null. */
export async function readMove(directory: pg.ClientBase, tenant: string): Promise<Move | null> {
  const { rows } = await directory.query<Move>(
    'select source, target, phase, started_at as "startedAt" from posthorn.moves where tenant = $1',
    [tenant],
  );
  return rows[0] ?? null;
}

/** Writes down that a move begins, and returns it. */
export async function beginMove(
  directory: pg.ClientBase,
  tenant: string,
  { source, target, startedAt }: Pick<Move, 'source' | 'target' | 'startedAt'>,
): Promise<Move> {
  await directory.query(
    `insert into posthorn.moves (tenant, source, target, phase, started_at) values ($1, $2, $3, 'prepare', $4)`,
    [tenant, source, target, startedAt],
  );
  return (await readMove(directory, tenant)) as Move;
}

/** Writes down the phase that begins. */
export async function writePhase(
  directory: pg.ClientBase,
  tenant: string,
  phase: Phase,
): Promise<void> {
  await directory.query(
    'update posthorn.moves set phase = $2, changed_at = now(), error = null where tenant = $1',
    [tenant, phase],
  );
}

/** Writes down why a move broke off. */
export async function writeError(
  directory: pg.ClientBase,
  tenant: string,
  error: string,
): Promise<void> {
  await directory.query(
    'update posthorn.moves set error = $2, changed_at = now() where tenant = $1',
    [tenant, error],
  );
}

/** Forgets a move that is finished. */
export async function endMove(directory: pg.ClientBase, tenant: string): Promise<void> {
  await directory.query('delete from posthorn.moves where tenant = $1', [tenant]);
}

/**
 * Takes the lock of a tenant's move, for as long as the connection lasts. Returns false if another process has it.
 */
export async function lockMove(directory: pg.ClientBase, tenant: string): Promise<boolean> {
  const { rows } = await directory.query<{ locked: boolean }>(
    `select pg_try_advisory_lock(hashtextextended('move of ' || $1, ${LOCK_SPACE})) as locked`,
    [tenant],
  );
  return rows[0]?.locked === true;
}
