// `npm test` runs the test files except the slow ones, several at a time; `npm run test:slow` runs those, and with names
// of files just these run. Afterwards each file that failed runs once more by itself, if they are few. So a test that
// needs more than a crowded machine gives does not stop a change, and it is not hidden either: the output has its
// failure, and ends with its name.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const TAP = fileURLToPath(new URL('run.mjs', import.meta.resolve('tap')));
/** Where tap writes the names of the files that failed. */
const FAILED = join('.tap', 'failed');
/** A change that breaks something breaks more files than this, or these files every time. */
const MAX_REPEATED = 3;
/** The names of the files that take long, one a line. A file that is not in it runs with `npm test`. */
const SLOW = join('test', 'slow.txt');

function tap(...args: string[]): number {
  const { status } = spawnSync(process.execPath, [TAP, ...args], { stdio: 'inherit' });
  return status ?? 1;
}

function namesIn(file: string): string[] {
  return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
}

/** Runs what these arguments of tap choose. Returns the exit code. */
function run(args: readonly string[]): number {
  mkdirSync('.tap', { recursive: true });
  rmSync(FAILED, { force: true });
  const status = tap(`--save=${FAILED}`, ...args);
  const failed = namesIn(FAILED);
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

function main(args: readonly string[]): number {
  const slow = namesIn(SLOW);
  if (args.includes('--slow')) return run(slow);
  if (args.some((arg) => !arg.startsWith('-'))) return run(args);
  const status = run([...args, ...slow.map((name) => `--exclude=${name}`)]);
  if (slow.length > 0)
    console.log(`\n${slow.length} slow files did not run: npm run test:slow runs them.`);
  return status;
}

process.exitCode = main(process.argv.slice(2));
