import { setTimeout as sleep } from 'node:timers/promises';
import type { Load, LoadResult } from '../programs/load.ts';
import type { BenchPostgres } from './postgres.ts';
import { type Program, startProgram } from './processes.ts';
import { type Running, SECRET, type Side } from './sides.ts';
import { cpuSecondsOfTree, peakMemoryMiB, processesOf, resetPeakMemory } from './usage.ts';

/** What a run measures with. */
export interface Bench {
  readonly postgres: BenchPostgres;
  readonly receiver: Program;
  /** URL of the receiver, for one of its behaviours. */
  readonly receiverUrl: (path: string) => string;
  /** Shorter and smaller: to see that it works, not what it gives. */
  readonly quick: boolean;
  /** Seconds of load in a measurement. */
  readonly seconds: number;
  readonly rounds: number;
  /** Says on the terminal what is being done. */
  readonly say: (line: string) => void;
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** One measurement of one side. */
export interface Measurement {
  readonly scenario: string;
  /** `ordinary`, `posthorn`, `floor: …`, or a variant of posthorn by what differs. */
  readonly side: string;
  readonly round: number;
  /** Webhooks, deliveries or requests a second; null where latency is all that is measured. */
  readonly perSecond: number | null;
  readonly latencyMs?: Percentiles;
  /** Whether latencies are of open-loop load (counted from when a request was due) or closed. */
  readonly loop?: 'open' | 'closed';
  readonly cpuSecondsPerThousand?: { readonly service: number; readonly postgres: number };
  readonly walBytesPerWebhook?: number;
  /** Of the largest process of the service. */
  readonly peakMemoryMiB?: number;
  /** What else was counted, by name. */
  readonly facts?: Readonly<Record<string, number>>;
  readonly note?: string;
}

/** A scenario of the suite. */
export interface Scenario {
  readonly name: string;
  /** What is measured, in a sentence. */
  readonly what: string;
  /** It begins with so many rows that it is measured once, however many rounds there are. */
  readonly once?: boolean;
  run(bench: Bench): Promise<Measurement[]>;
}

export interface SideOptions {
  readonly env?: Record<string, string>;
}

/** Starts a side on an empty database of its own, and ends both afterwards. */
export async function withSide<T>(
  bench: Bench,
  side: Side,
  { env }: SideOptions,
  use: (running: Running) => Promise<T>,
): Promise<T> {
  const databaseUrl = await bench.postgres.createDatabase();
  try {
    const running = await side.start(databaseUrl, env);
    try {
      return await use(running);
    } finally {
      await running.stop();
    }
  } finally {
    await bench.postgres.dropDatabase(databaseUrl);
  }
}

/** Runs a load in a process of its own. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const program = startProgram('load.ts');
  try {
    return await program.call<LoadResult>('run', load);
  } finally {
    await program.stop();
  }
}

/** For how long there is load that is not counted: code is compiled, connections are made. */
export const warmUpMs = ({ quick }: Bench) => (quick ? 300 : 4_000);

export async function warmUp(
  bench: Bench,
  running: Running,
  path: string,
  more: Pick<Load, 'headers' | 'idempotencyKeys'> = {},
): Promise<void> {
  await runLoad({
    port: running.port,
    paths: [path],
    secret: SECRET,
    bodyBytes: 490,
    connections: 64,
    durationMs: warmUpMs(bench),
    ...more,
  });
  await untilNothingIsDue(running);
}

export async function untilNothingIsDue(running: Running, timeoutMs = 300_000): Promise<void> {
  const deadline = Date.now() + timeoutMs;
  while ((await running.due()) > 0) {
    if (Date.now() > deadline) throw new Error('the deliveries did not end in time');
    await sleep(50);
  }
}

/** Waits until the receiver has had so many requests. Returns when the last one came. */
export async function untilReceived(
  bench: Bench,
  count: number,
  timeoutMs = 600_000,
): Promise<number> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    const { received, lastAt } = await bench.receiver.call<{ received: number; lastAt: number }>(
      'received',
    );
    if (received >= count) return lastAt;
    if (Date.now() > deadline) throw new Error(`only ${received} of ${count} arrived in time`);
    await sleep(20);
  }
}

/** What some work cost, for each thousand of what it did. */
export async function costOf(
  bench: Bench,
  running: Running,
  work: () => Promise<number>,
): Promise<Pick<Measurement, 'cpuSecondsPerThousand' | 'walBytesPerWebhook' | 'peakMemoryMiB'>> {
  const { postgres } = bench;
  const processes = processesOf(running.pid);
  const postgresCpu = () => (postgres.pid === null ? 0 : cpuSecondsOfTree(postgres.pid));
  for (const pid of processes) resetPeakMemory(pid);
  const before = [cpuSecondsOfTree(running.pid), postgresCpu(), await postgres.walBytes()] as const;
  const thousands = (await work()) / 1000;
  return {
    cpuSecondsPerThousand: {
      service: (cpuSecondsOfTree(running.pid) - before[0]) / thousands,
      postgres: (postgresCpu() - before[1]) / thousands,
    },
    walBytesPerWebhook: ((await postgres.walBytes()) - before[2]) / thousands / 1000,
    peakMemoryMiB: Math.max(...processes.map(peakMemoryMiB)),
  };
}

/** Measures the sides in turn, as often as there are rounds, so that drift of the machine cancels. */
export async function alternating(
  bench: Bench,
  sides: readonly (readonly [name: string, measure: (round: number) => Promise<Measurement>])[],
): Promise<Measurement[]> {
  const measurements: Measurement[] = [];
  for (let round = 1; round <= bench.rounds; round++) {
    for (const [name, measure] of sides) {
      bench.say(`round ${round} of ${bench.rounds}: ${name}`);
      measurements.push(await measure(round));
    }
  }
  return measurements;
}
