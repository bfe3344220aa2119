import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** The server of a run: `before.ts` writes this for the test files and for `after.ts`. */
export interface TestRun {
  /** A database of the server that the run uses, from which others can be made and dropped. */
  readonly adminUrl: string;
  /** A migrated database that test databases are copied from. */
  readonly template: string;
  /** The embedded server's folder, or null where POSTHORN_TEST_DATABASE_URL names a server. */
  readonly dataDir: string | null;
}

const RUNS_DIR = join(import.meta.dirname, '..', '..', '.tap', 'runs');

/** Names the file that says which run it is, where that is not tap's. */
export const RUN_VARIABLE = 'POSTHORN_TEST_RUN';

/** Runs may overlap, and all processes of a run of tap have the same parent. */
function pathOfRun(): string {
  const { [RUN_VARIABLE]: given } = process.env;
  if (given !== undefined) return given;
  return join(RUNS_DIR, `${process.ppid}.json`);
}

export function writeRun(run: TestRun): void {
  mkdirSync(RUNS_DIR, { recursive: true });
  writeFileSync(pathOfRun(), JSON.stringify(run));
}

export function readRun(): TestRun {
  return JSON.parse(readFileSync(pathOfRun(), 'utf8')) as TestRun;
}
