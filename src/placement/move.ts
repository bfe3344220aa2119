import { setTimeout as sleep } from 'node:timers/promises';
import type pg from 'pg';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import type { SealingKey } from '../lib/sealing.ts';
import { DEFAULT_TENANT } from '../tenants/default.ts';
import { REFUSED, requireHome, requireMovable, type Side } from './checks.ts';
import { type Copied, copyHistory, timeOf } from './copy-history.ts';
import { copyRest, copySettings } from './copy-rows.ts';
import { copyCounts } from './counts.ts';
import { readHomes, readPlacement, setMoving, switchHome } from './directory.sql.ts';
import { drain, resumeMoved } from './drain.ts';
import { closeTenant, openTenant } from './fence.ts';
import { leave } from './leave.ts';
import { createClosed } from './mover.ts';
import * as moves from './moves.sql.ts';

/** A round of copying that takes no longer is the last one before the tenant's requests have to wait. */
const SHORT_ROUND_MS = 2_000;
/** A tenant that changes faster than it is copied is not closed before so many rounds. */
const MAX_ROUNDS = 20;
/** An application's open transaction that has sent may keep a tenant from being closed for so long. */
const FENCE = { timeoutMs: 30_000 };

/** The options of `moveTenant` and `undoMove`. */
export interface MoveOptions {
  readonly tenant: string;
  /** The home to which it is moved. */
  readonly to: string;
  /** A connection to the directory. The lock of the move is on it, so nothing else may use it. */
  readonly directory: pg.ClientBase;
  /** The database that the tenant leaves, also if it has left it already and the rest is done now. */
  readonly source: Side;
  readonly target: Side;
  readonly encryptionKeys: readonly SealingKey[];
  /** When it aborts before the home is switched, the tenant is given back to the source; after that, it changes nothing. */
  readonly signal: AbortSignal;
  /** Told of each phase that begins, and how far copying has come. */
  readonly onPhase?: (phase: moves.Phase) => void;
  readonly onProgress?: (copied: Copied) => void;
}

/** How a call ended. */
export type MoveResult = 'moved' | 'already_there' | 'undone' | 'nothing_to_undo';

/**
 * Moves a tenant to another home while it is used. Each phase is written to the directory before it begins, may be
 * repeated, and goes on after a crash when this is called again:
 *
 * - `prepare`: create it at the target, closed; copy its settings, with all its subscriptions paused.
 * - `copy`: copy its history, and in further rounds what has changed, until a round is short.
 * - `pause`: pause its subscriptions, and wait until no worker has an attempt under way for them. Webhooks are still
 *   accepted.
 * - `close`: let its requests wait, and close it at the source, so that nothing is accepted there any more. Copy the
 *   rest, until a round finds no difference.
 * - then, in one transaction of the directory, the target becomes its home: the only point without return.
 * - `open`: open it at the target, and resume its subscriptions.
 * - `clean up`: end what it has at the source.
 *
 * At no time do both databases send or accept: the source sends nothing from `pause` on, and accepts nothing from
 * `close` on; the target does neither before `open`.
 *
 * @throws OperatorError saying why it cannot be moved (exit code 4, or 3 if there is no such tenant or home), or that
 *   another process moves it. After any error before the switch, the tenant is given back to the source.
 */
export async function moveTenant(options: MoveOptions): Promise<MoveResult> {
  return await locked(options, async (placement) => {
    const { tenant, to, directory, source } = options;
    let move = await moves.readMove(directory, tenant);
    if (move === null && placement.home === to) return 'already_there';
    if (move !== null) requireTarget(options, move);
    await requireHomes(options, move?.source ?? placement.home);
    if (move === null) {
      await requireMovable(sidesOf(options), tenant, options.encryptionKeys);
      const startedAt = await timeOf(source.pool);
      move = await moves.beginMove(directory, tenant, {
        source: placement.home,
        target: to,
        startedAt,
      });
    }
    if (placement.home === move.source) {
      try {
        await copyAll(options, move);
      } catch (error) {
        throw await givenBack(options, error);
      }
      await switchOver(options, move, placement.epoch);
    }
    await open(options);
    await begin(options, 'clean up');
    await leave(source.pool, tenant);
    await moves.endMove(directory, tenant);
    return 'moved';
  });
}

/**
 * Takes back a move that has not switched the tenant's home yet: opens it at the source, resumes its subscriptions, and
 * ends what was copied to the target. May be repeated.
 *
 * @throws OperatorError if the home was switched; the move can only be finished then.
 */
export async function undoMove(options: MoveOptions): Promise<MoveResult> {
  return await locked(options, async (placement) => {
    const { tenant, directory, target } = options;
    const move = await moves.readMove(directory, tenant);
    if (move === null) return 'nothing_to_undo';
    requireTarget(options, move);
    if (placement.home !== move.source)
      throw new OperatorError(
        `The tenant ${tenant} lives at ${placement.home} already, where it accepts webhooks, so its move cannot be undone. Run the command without --undo, which finishes it; then it can be moved back.`,
        REFUSED,
      );
    await requireHomes(options, move.source);
    await giveBack(options);
    // The mover may have been killed before it had created the tenant there.
    await createClosed(target.pool, tenant);
    await leave(target.pool, tenant);
    await moves.endMove(directory, tenant);
    return 'undone';
  });
}

/** Lets the source accept and send again. From then on a move begins anew. */
async function giveBack(options: MoveOptions): Promise<void> {
  const { tenant, directory, source } = options;
  await begin(options, 'undo');
  await openTenant(source.pool, tenant, FENCE);
  await resumeMoved(source.pool, tenant);
  await setMoving(directory, tenant, false);
}

/** Gives the tenant back, so that it is not kept closed until somebody comes. Returns the error of the move to throw. */
async function givenBack(options: MoveOptions, error: unknown): Promise<unknown> {
  try {
    await giveBack(options);
    return error;
  } catch (second) {
    return new OperatorError(
      `${errorMessage(error)} After that, ${options.tenant} could not be given back to its home (${errorMessage(second)}), so it may send or accept nothing until the command is run again, with or without --undo.`,
      { cause: error },
    );
  }
}

type Placed = NonNullable<Awaited<ReturnType<typeof readPlacement>>>;

/** Runs the work while no other process moves the tenant, and writes down why it failed. */
async function locked(
  { tenant, directory }: MoveOptions,
  work: (placement: Placed) => Promise<MoveResult>,
): Promise<MoveResult> {
  if (tenant === DEFAULT_TENANT)
    throw new OperatorError(`The tenant ${tenant} stays at the first home.`, REFUSED);
  if (!(await moves.lockMove(directory, tenant)))
    throw new OperatorError(`Another process is moving the tenant ${tenant}.`, REFUSED);
  const placement = await readPlacement(directory, tenant);
  if (placement === null)
    throw new OperatorError(`The directory has no tenant ${tenant}.`, { exitCode: 3 });
  try {
    return await work(placement);
  } catch (error) {
    // The first error matters, also if the directory is away too.
    await moves.writeError(directory, tenant, errorMessage(error)).catch(() => {});
    throw error;
  }
}

function requireTarget({ tenant, to }: MoveOptions, { target, phase }: moves.Move): void {
  if (target !== to)
    throw new OperatorError(
      `The tenant ${tenant} is being moved to ${target} (${phase}). Finish that with --to ${target}, or undo it with --to ${target} --undo.`,
      REFUSED,
    );
}

async function requireHomes(
  { to, directory, source, target }: MoveOptions,
  from: string,
): Promise<void> {
  const homes = await readHomes(directory);
  if (!homes.some(({ name }) => name === to))
    throw new OperatorError(
      `There is no home ${to}. The homes are: ${homes.map(({ name }) => name).join(', ')}.`,
      { exitCode: 3 },
    );
  await requireHome(source, homes, from);
  await requireHome(target, homes, to);
}

const sidesOf = ({ source, target }: MoveOptions) => ({
  source: source.pool,
  target: target.pool,
});

/** Writes down a phase before its work. */
async function begin({ directory, tenant, onPhase }: MoveOptions, phase: moves.Phase) {
  await moves.writePhase(directory, tenant, phase);
  onPhase?.(phase);
}

/** Does all that comes before the switch. May be stopped at any point, and repeated. */
async function copyAll(options: MoveOptions, move: moves.Move): Promise<void> {
  const { tenant, directory, signal, onProgress, encryptionKeys } = options;
  const sides = sidesOf(options);
  // In these phases all was copied before.
  const isCopied = move.phase === 'pause' || move.phase === 'close';
  let since = isCopied ? move.startedAt : undefined;
  /** Copies what has changed since the round before. Returns the number of webhooks that differed. */
  const round = async () => {
    const beganAt = await timeOf(sides.source);
    const { webhooks } = await copyHistory(sides, tenant, since, (copied) => {
      signal.throwIfAborted();
      onProgress?.(copied);
    });
    since = beganAt;
    return webhooks;
  };
  if (!isCopied) {
    await begin(options, 'prepare');
    await createClosed(sides.target, tenant);
    await copySettings(sides, tenant);
    await begin(options, 'copy');
    await round();
    for (let rounds = 0; rounds < MAX_ROUNDS; rounds += 1) {
      const beganAt = performance.now();
      const webhooks = await round();
      if (webhooks === 0 || performance.now() - beganAt < SHORT_ROUND_MS) break;
    }
  }
  signal.throwIfAborted();
  await begin(options, 'pause');
  await drain(sides.source, tenant, signal);
  await round();
  await begin(options, 'close');
  await setMoving(directory, tenant, true);
  await closeTenant(sides.source, tenant, FENCE);
  // Somebody may have resumed or created a subscription since.
  await drain(sides.source, tenant, signal);
  await requireMovable(sides, tenant, encryptionKeys);
  // Webhooks of subscriptions that were created since need these at the target.
  await copyRest(sides, tenant);
  while ((await round()) > 0);
  await copyCounts(sides, tenant);
}

async function switchOver(
  options: MoveOptions,
  { source, target }: moves.Move,
  epoch: number,
): Promise<void> {
  const { tenant, directory } = options;
  const { rows } = await options.target.pool.query<{ id: number }>(
    'select id from posthorn.subscriptions where tenant = $1',
    [tenant],
  );
  await directory.query('begin');
  try {
    await moves.writePhase(directory, tenant, 'open');
    const subscriptionIds = rows.map(({ id }) => id);
    await switchHome(directory, { tenant, from: source, to: target, epoch, subscriptionIds });
    await directory.query('commit');
  } catch (error) {
    await directory.query('rollback').catch(() => {});
    throw error;
  }
}

async function open(options: MoveOptions): Promise<void> {
  const { tenant, directory, target } = options;
  await begin(options, 'open');
  await passGreatestId(target.pool, tenant);
  await openTenant(target.pool, tenant, FENCE);
  await resumeMoved(target.pool, tenant);
  await setMoving(directory, tenant, false);
}

/** Ids are in the order of acceptance, and the target's clock may be behind that of the source. */
async function passGreatestId(target: pg.Pool, tenant: string): Promise<void> {
  const { rows } = await target.query<{ ms: number }>(
    `select ceil(extract(epoch from posthorn.uuidv7_time(id) - clock_timestamp()) * 1000)::float8 + 2 as ms
     from posthorn.webhook_payloads where tenant = $1 and tenant <> 'default'
     order by id desc limit 1`,
    [tenant],
  );
  await sleep(Math.max(0, rows[0]?.ms ?? 0));
}
