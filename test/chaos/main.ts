// `npm run chaos`: breaks things on purpose and shows with a ledger that nothing was lost.
//
//   npm run chaos                    all of it, half an hour
//   npm run chaos -- --quick         what runs before every change lands
//   npm run chaos -- frozen kill     only these
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Broken, type Figures, type Run, type Scenario, Skipped } from './lib/scenario.ts';
import { scenarios } from './scenarios.ts';

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
    process.exit(130);
  });
}

const startedAt = performance.now();
for (const scenario of chosen) counts[await play(scenario)] += 1;

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
  const run: Run = {
    quick,
    dir,
    onEnd: (undo) => void undos.push(undo),
    progress(text) {
      if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K  ${name}: ${text}`);
    },
  };
  undoAll = async () => {
    for (const undo of undos.splice(0).reverse()) {
      await Promise.resolve()
        .then(undo)
        .catch((error: unknown) => console.error(`cleaning up after ${name}:`, error));
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
          () => reject(new Broken(`it had not ended after ${timeoutMs / 1000} s`)),
          timeoutMs,
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
    await undoAll();
  }
  if (process.stdout.isTTY) process.stdout.write('\r\x1b[K');
  const seconds = `${Math.round((performance.now() - began) / 1000)} s`.padStart(5);
  console.log(`${outcome.padEnd(8)}${name.padEnd(18)}${seconds}  ${promise}`);
  console.log(`${' '.repeat(33)}${told}`);
  return outcome;
}

function format(figures: Figures): string {
  return Object.entries(figures)
    .map(([name, value]) => `${name} ${value}`)
    .join(' · ');
}
