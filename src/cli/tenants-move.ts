import { Command } from 'commander';
import { readGiven } from '../config/given.ts';
import { postgresUrl } from '../config/setting-readers.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import type { Side } from '../placement/checks.ts';
import type { Copied } from '../placement/copy-history.ts';
import type { MoveResult } from '../placement/move.ts';
import type { Phase } from '../placement/moves.sql.ts';
import { requirePlacement } from './homes.ts';
import { print } from './output.ts';

interface MoveFlags {
  readonly to: string;
  readonly undo?: boolean;
  readonly json?: boolean;
}

/** `posthorn tenants move`: moves a tenant to another home of the directory while it is used. */
export function moveTenantCommand(): Command {
  return new Command('move')
    .description('move a tenant to another home, online (docs/placement.md)')
    .argument('<id>', 'id of the tenant')
    .requiredOption('--to <home>', 'the home that it is moved to')
    .option('--undo', 'take back a move that has not switched the home yet')
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      `
Run it with the settings of the home that the tenant leaves, and with POSTHORN_TARGET_URL, the URL of the database of
the other one. If it ends early for any reason, run the same command again: it goes on where it was.

Examples:
  $ POSTHORN_TARGET_URL=postgres://… posthorn tenants move acme --to db2
  $ POSTHORN_TARGET_URL=postgres://… posthorn tenants move acme --to db2 --undo`,
    )
    .action(move);
}

/** Statements copy a few megabytes at most. */
const STATEMENT_MS = 60_000;
const PROGRESS_EVERY_MS = 2_000;

async function move(tenant: string, { to, undo = false, json }: MoveFlags): Promise<void> {
  const { databaseUrl, encryptionKeys, placement } = requirePlacement();
  if (databaseUrl === undefined)
    throw new OperatorError('Set DATABASE_URL: other homes cannot use an embedded Postgres.');
  const targetUrl = readTarget();
  const { connectOrExplain } = await import('../db/connect.ts');
  const { createPool } = await import('../db/pool.ts');
  const { requireCurrent } = await import('../placement/checks.ts');
  const { moveTenant, undoMove } = await import('../placement/move.ts');
  const side = (url: string, setting: string): Side => ({
    pool: createPool({
      connectionString: url,
      purpose: 'move',
      max: 2,
      timeoutMs: STATEMENT_MS,
    }),
    url,
    setting,
  });
  await requireCurrent({ url: placement.directoryUrl, setting: 'POSTHORN_DIRECTORY_URL' });
  const directory = await connectOrExplain(placement.directoryUrl, 'move');
  const source = side(databaseUrl, 'DATABASE_URL');
  const target = side(targetUrl, 'POSTHORN_TARGET_URL');
  const progress = createProgress(tenant, to, json !== true);
  try {
    const result = await (undo ? undoMove : moveTenant)({
      ...{ tenant, to, directory, source, target, encryptionKeys },
      ...progress,
    });
    print(json ? JSON.stringify({ tenant, to, result }, null, 2) : sentences(tenant, to)[result]);
  } catch (error) {
    if (error instanceof OperatorError) throw error;
    throw new OperatorError(
      `${errorMessage(error)}. Mend that, and run the same command again: it goes on where it was.`,
      { cause: error },
    );
  } finally {
    progress.end();
    await Promise.all([directory.end(), source.pool.end(), target.pool.end()]);
  }
}

function readTarget(): string {
  const text = readGiven(process.env, process.cwd()).POSTHORN_TARGET_URL;
  try {
    if (text) return postgresUrl(text);
  } catch (error) {
    throw new OperatorError(`POSTHORN_TARGET_URL: ${errorMessage(error)}`);
  }
  throw new OperatorError(
    'Set POSTHORN_TARGET_URL to the URL of the database of the home that the tenant is moved to.',
  );
}

/** Tells of progress on standard error, if it is to, and turns Ctrl-C into a signal for the move. */
function createProgress(tenant: string, to: string, tells: boolean) {
  const stop = new AbortController();
  let current: Phase | undefined;
  let nextAt = 0;
  const say = (text: string) => tells && process.stderr.write(`${text}\n`);
  const interrupt = () => {
    if (current === 'open' || current === 'clean up')
      return void process.stderr.write(`${tenant} lives at ${to} already; this ends in a moment\n`);
    stop.abort(
      new OperatorError(
        `Interrupted. ${tenant} lives and works at its home as before. Run the same command again to go on, or with --undo to remove what was copied to ${to}.`,
      ),
    );
  };
  // A second one ends the process at once; the next run goes on from any point.
  process.once('SIGINT', interrupt);
  process.once('SIGTERM', interrupt);
  return {
    signal: stop.signal,
    onPhase(phase: Phase) {
      current = phase;
      say(`${phase}: ${PHASES[phase]}`);
    },
    onProgress({ webhooks, compared }: Copied) {
      if (performance.now() < nextAt) return;
      nextAt = performance.now() + PROGRESS_EVERY_MS;
      say(`  ${compared} webhooks compared, ${webhooks} copied`);
    },
    end() {
      process.off('SIGINT', interrupt);
      process.off('SIGTERM', interrupt);
    },
  };
}

const PHASES: Readonly<Record<Phase, string>> = {
  prepare: 'create the tenant at the target, and copy its settings',
  copy: 'copy its history, while it is used',
  pause: 'wait for the attempts under way; webhooks are accepted, and not sent',
  close: 'copy what is left; requests wait',
  open: 'it lives at the target, and sends there',
  'clean up': 'end what it has at the source',
  undo: 'give it back to its home',
};

const sentences = (tenant: string, to: string): Readonly<Record<MoveResult, string>> => ({
  moved: `${tenant} lives at ${to}.`,
  already_there: `${tenant} lives at ${to} already. Nothing was done.`,
  undone: `${tenant} lives where it did, and what was copied to ${to} is removed.`,
  nothing_to_undo: `${tenant} is not being moved. Nothing was done.`,
});
