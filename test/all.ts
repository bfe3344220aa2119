// `npm test`: runs all test files, several at a time, and then by itself each file that failed, if they are few.
// So a test that needs more than a crowded machine gives does not stop a change, and it is not hidden either: the
// output has its failure, and ends with its name.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TAP = fileURLToPath(new URL('run.mjs', import.meta.resolve('tap')));
/** Where tap writes the names of the files that failed. */
const FAILED = join('.tap', 'failed');
/** A change that breaks something breaks more files than this, or these files every time. */
const MAX_REPEATED = 3;

function tap(...args: string[]): number {
  const { status } = spawnSync(process.execPath, [TAP, ...args], { stdio: 'inherit' });
  return status ?? 1;
}

function failedFiles(): string[] {
  try {
    return readFileSync(FAILED, 'utf8').split('\n').filter(Boolean);
  } catch {
    return [];
  }
}

function main(args: readonly string[]): number {
  mkdirSync('.tap', { recursive: true });
  rmSync(FAILED, { force: true });
  const status = tap(`--save=${FAILED}`, ...args);
  const failed = failedFiles();
  rmSync(FAILED, { force: true });
  if (status === 0 || failed.length === 0 || failed.length > MAX_REPEATED) return status;

  const names = failed.join(', ');
  console.log(`\nFailed: ${names}. Running once more, one file at a time.\n`);
  if (tap('--jobs=1', ...failed) !== 0) {
    console.log(`\nFailed twice: at least one of ${names}.`);
    return 1;
  }
  console.log(`\nFailed once, and passed alone: ${names}. Look for the cause in the output above.`);
  return 0;
}

process.exitCode = main(process.argv.slice(2));
