// npm run bench                              runs all scenarios
// npm run bench -- --quick                   shows that all scenarios work; the figures mean little
// npm run bench -- --only 'whole path,drain'
// npm run bench -- --compare bench/results/2026-11-24.json
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import type { Bench, Measurement, Scenario } from './lib/bench.ts';
import { startBenchPostgres } from './lib/postgres.ts';
import { startProgram } from './lib/processes.ts';
import { describeMachine } from './report/machine.ts';
import { writePerformancePage } from './report/page.ts';
import { type Results, summarise } from './report/results.ts';
import { compareTable, floorTable, summaryTable, targetsTable } from './report/tables.ts';
import { atRest } from './scenarios/at-rest.ts';
import { backlog } from './scenarios/backlog.ts';
import { bigBodies } from './scenarios/big-bodies.ts';
import { burst } from './scenarios/burst.ts';
import { longHistory, longTransaction, retriesWaiting } from './scenarios/database-conditions.ts';
import { drain } from './scenarios/drain.ts';
import { fanOut } from './scenarios/fan-out.ts';
import { idle } from './scenarios/idle.ts';
import { intake } from './scenarios/intake.ts';
import { isolation } from './scenarios/isolation.ts';
import { manySubscriptions } from './scenarios/many-subscriptions.ts';
import { processes } from './scenarios/processes.ts';
import { sending } from './scenarios/sending.ts';
import { slowReceivers } from './scenarios/slow-receivers.ts';
import { soak } from './scenarios/soak.ts';
import { tracing } from './scenarios/tracing.ts';
import { wholePath } from './scenarios/whole-path.ts';

const SCENARIOS: readonly Scenario[] = [
  wholePath,
  intake,
  drain,
  fanOut,
  sending,
  atRest,
  isolation,
  backlog,
  burst,
  manySubscriptions,
  slowReceivers,
  bigBodies,
  processes,
  retriesWaiting,
  longTransaction,
  longHistory,
  tracing,
  idle,
  soak,
];

const ROOT = join(import.meta.dirname, '..');

const HELP = `npm run bench -- [options]

  --quick            shows in under ten minutes that all scenarios work; the figures mean little
  --only NAMES       runs only these scenarios, separated by commas:
                     ${SCENARIOS.map(({ name }) => name)
                       .join(', ')
                       .replace(/(.{1,72},) /g, '$1\n                     ')}
  --rounds N         measures each side N times, in turn with the others (default 3)
  --seconds N        seconds of load in each measurement (default 10)
  --compare FILE     prints the results beside those of an earlier run
  --page FILE        writes docs/performance.md from a file of results, and measures nothing

If DATABASE_URL is set, the scenarios run on that server, otherwise on an embedded Postgres.
`;
const options = readOptions();

if (options.help) {
  process.stdout.write(HELP);
} else if (options.page !== undefined) {
  await writePerformancePage(ROOT, JSON.parse(await readFile(options.page, 'utf8')) as Results);
} else {
  await measure();
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        help: { type: 'boolean', short: 'h', default: false },
        quick: { type: 'boolean', default: false },
        only: { type: 'string' },
        rounds: { type: 'string' },
        seconds: { type: 'string' },
        compare: { type: 'string' },
        page: { type: 'string' },
      },
    });
    const only = values.only?.split(',').map((name) => name.trim());
    const unknown = only?.find((name) => SCENARIOS.every((scenario) => scenario.name !== name));
    if (unknown !== undefined) throw new Error(`--only: there is no scenario "${unknown}"`);
    const { rounds, seconds } = values;
    return {
      ...values,
      only,
      rounds: numberOf('rounds', rounds),
      seconds: numberOf('seconds', seconds),
    };
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${HELP}`);
    process.exit(2);
  }
}

function numberOf(option: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (!/^[1-9]\d*$/.test(text))
    throw new Error(`--${option}: "${text}" is not a whole number above 0`);
  return Number(text);
}

async function measure(): Promise<void> {
  const { quick, only } = options;
  const chosen = SCENARIOS.filter(({ name }) => only === undefined || only.includes(name));

  // Read first, because it may be the file that this run writes.
  const before =
    options.compare === undefined
      ? undefined
      : (JSON.parse(await readFile(options.compare, 'utf8')) as Results);
  process.stdout.write('Building the package\n');
  execFileSync('npm', ['run', '--silent', 'build'], { cwd: ROOT, stdio: 'inherit' });
  const postgres = await startBenchPostgres();
  const receiver = startProgram('receiver.ts');
  const port = await receiver.call<number>('port');
  const bench: Bench = {
    postgres,
    receiver,
    receiverUrl: (path) => `http://127.0.0.1:${port}${path}`,
    quick,
    seconds: options.seconds ?? (quick ? 1 : 10),
    rounds: options.rounds ?? (quick ? 1 : 3),
    say: progress,
  };
  const machine = describeMachine(postgres.version);
  const measurements: Measurement[] = [];
  const resultsOf = (scenarios: readonly Scenario[]): Results => ({
    ...machine,
    quick,
    seconds: bench.seconds,
    rounds: bench.rounds,
    note: 'The whole path has twice as many rounds; backlog, burst and soak have one round.',
    scenarios: scenarios.map(({ name, what }) => ({ name, what })),
    measurements,
  });
  try {
    for (const [index, { name, what, once, run }] of chosen.entries()) {
      process.stdout.write(`\n${name}: ${what}\n`);
      const measured = await run(once ? { ...bench, rounds: 1 } : bench);
      measurements.push(...measured);
      progress('');
      process.stdout.write(summaryTable(summarise(measured)));
      // A run takes an hour. If it is stopped, its results so far are kept.
      if (!quick) await write(resultsOf(chosen.slice(0, index + 1)));
    }
  } finally {
    await receiver.stop();
    await postgres.stop();
    if (process.env.DATABASE_URL === undefined)
      await rm(join(process.cwd(), '.posthorn-bench'), { recursive: true, force: true });
  }

  const results = resultsOf(chosen);
  process.stdout.write(`\n${floorTable(results)}${targetsTable(results)}`);
  if (before !== undefined) process.stdout.write(`\n${compareTable(before, results)}`);
  if (quick) return;
  process.stdout.write(`\nWritten to ${await write(results)}\n`);
  if (only === undefined) await writePerformancePage(ROOT, results);
}

/** Writes the results to a file named after their day, and returns its path. */
async function write(results: Results): Promise<string> {
  const folder = join(ROOT, 'bench', 'results');
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${results.at.slice(0, 10)}.json`);
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`);
  return file;
}

function progress(line: string): void {
  if (process.stdout.isTTY) process.stdout.write(`\r\x1b[K  ${line}`);
}
