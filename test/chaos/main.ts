// `npm run chaos`: breaks things on purpose and shows with a ledger that nothing was lost.
//
//   npm run chaos                    all of it, half an hour
//   npm run chaos -- --quick         what runs before every change lands
//   npm run chaos -- frozen kill     only these
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endLeftOvers, markProcesses } from './lib/leftovers.ts';
import { Broken, type Figures, type Run, type Scenario, Skipped } from './lib/scenario.ts';
import { scenarios } from './scenarios.ts';

/** The longest time that a step of cleaning up may take; after that, processes are killed. */
const UNDO_MS = 120_000;
/** How much longer than a scenario's own limit it may take where other work uses most of the machine. */
const BUSY = 5;

type Outcome = 'passed' | 'failed' | 'skipped';

const args = process.argv.slice(2);
const quick = args.includes('--quick');
const names = args.filter((arg) => !arg.startsWith('--'));
const unknown = [
  ...args.filter((arg) => arg.startsWith('--') && arg !== '--quick'),
  ...names.filter((name) => !scenarios.some((scenario) => scenario.name === name)),
];
if (unknown.length > 0) {
  console.error(
    `There is no ${unknown.join(', ')}. Usage: npm run chaos -- [--quick] [${scenarios.map(({ name }) => name).join(' ')}]`,
  );
  process.exit(2);
}
const chosen = scenarios.filter((scenario) =>
  names.length > 0 ? names.includes(scenario.name) : !quick || scenario.quick,
);

const root = mkdtempSync(join(tmpdir(), 'posthorn-chaos-'));
// Postgres runs as a user of its own, who must get in.
chmodSync(root, 0o755);
const counts: Record<Outcome, number> = { passed: 0, failed: 0, skipped: 0 };
let undoAll: () => Promise<void> = async () => {};
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, async () => {
    await undoAll();
    await endLeftOvers(root);
    process.exit(130);
  });
}

const startedAt = performance.now();
for (const scenario of chosen) counts[await play(scenario)] += 1;

// A scenario that was given up may have started more since.
for (const left of await endLeftOvers(root)) {
  counts.failed += 1;
  console.log(`left running, and killed: ${left}`);
}
console.log(`\n${Math.round((performance.now() - startedAt) / 1000)} s`);
if (counts.failed > 0) console.log(`logs of what failed are in ${root}`);
else rmSync(root, { recursive: true, force: true });
if (counts.skipped > 0) console.log(`${counts.skipped} skipped`);
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 ? 0 : 1);

async function play(scenario: Scenario): Promise<Outcome> {
  const { name, promise, timeoutMs } = scenario;
  const undos: (() => unknown)[] = [];
  const dir = join(root, name);
  mkdirSync(dir, { recursive: true, mode: 0o755 });
  markProcesses(dir);
  let isOver = false;
  const run: Run = {
    quick,
    dir,
    onEnd(undo) {
      undos.push(undo);
      // A scenario that took too long goes on, and may start more.
      if (isOver) void undoAll();
    },
    progress(text) {
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K  ${name}: ${text}`);
    },
  };
  undoAll = async () => {
    for (const undo of undos.splice(0).reverse()) {
      await withinTime(undo).catch((error: unknown) =>
        console.error(`cleaning up after ${name}:`, error),
      );
    }
  };
  const began = performance.now();
  let timer: NodeJS.Timeout | undefined;
  let outcome: Outcome;
  let told: string;
  try {
    const figures = await Promise.race([
      scenario.run(run),
      new Promise<never>((_resolve, reject) => {
        timer = setTimeout(
          () => reject(new Broken(`it had not ended after ${(BUSY * timeoutMs) / 1000} s`)),
          BUSY * timeoutMs,
        );
      }),
    ]);
    outcome = 'passed';
    told = format(figures);
  } catch (error) {
    outcome = error instanceof Skipped ? 'skipped' : 'failed';
    told =
      error instanceof Skipped || error instanceof Broken
        ? error.message
        : ((error as Error).stack ?? String(error));
  } finally {
    clearTimeout(timer);
    isOver = true;
    await undoAll();
  }
  const left = await endLeftOvers(dir);
  if (left.length > 0) {
    outcome = 'failed';
    told = `${told}; it left processes, which were killed: ${left.join(', ')}`;
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  const seconds = `${Math.round((performance.now() - began) / 1000)} s`.padStart(5);
  console.log(`${outcome.padEnd(8)}${name.padEnd(18)}${seconds}  ${promise}`);
  console.log(`${' '.repeat(33)}${told}`);
  return outcome;
}

async function withinTime(undo: () => unknown): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`it took over ${UNDO_MS / 1000} s`)), UNDO_MS);
  });
  try {
    await Promise.race([Promise.resolve().then(undo), late]);
  } finally {
    clearTimeout(timer);
  }
}

function format(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ');
}
