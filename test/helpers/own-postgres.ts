import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { type Postgres, type PostgresOptions, startPostgres } from '../chaos/lib/postgres.ts';
import type { Run } from '../chaos/lib/scenario.ts';

/** Returns an empty folder for servers that a test starts, which goes with the test, and what ends them. */
export function ownRun(t: Test): Run {
  // As root, Postgres runs as another user, who may not be able to enter the folder of the tests.
  const dir = mkdtempSync(join(tmpdir(), 'posthorn-test-'));
  chmodSync(dir, 0o755);
  t.teardown(() => rmSync(dir, { recursive: true, force: true }));
  return {
    quick: true,
    dir,
    onEnd: (undo) => t.teardown(async () => void (await undo())),
    progress() {},
  };
}

/** Starts a server of the test's own, which need not survive a power failure, with an empty database. */
export function startOwnPostgres(t: Test, options: PostgresOptions = {}): Promise<Postgres> {
  const settings = { fsync: 'off', shared_buffers: '32MB', ...options.settings };
  return startPostgres(ownRun(t), { ...options, settings });
}
