import { setTimeout as sleep } from 'node:timers/promises';
import type { Load, LoadResult } from '../programs/load.ts';
import type { BenchPostgres } from './postgres.ts';
import { type Program, startProgram } from './processes.ts';
import { type Running, SECRET, type Side } from './sides.ts';
import { cpuSecondsOfTree, peakMemoryMiB, processesOf, resetPeakMemory } from './usage.ts';

/** The parts and options that a run of the benchmark shares. */
export interface Bench {
  readonly postgres: BenchPostgres;
  readonly receiver: Program;
  /** Returns the receiver's URL for one of its paths, such as `/ok`. */
  readonly receiverUrl: (path: string) => string;
  /** Short loads and little data, to see that a scenario works; the figures mean little. */
  readonly quick: boolean;
  /** Seconds of load in a measurement. */
  readonly seconds: number;
  readonly rounds: number;
  /** Shows progress on the terminal. */
  readonly say: (line: string) => void;
}

export interface Percentiles {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
}

/** A measurement of one side in one round. A side is one of the things that a scenario compares. */
export interface Measurement {
  readonly scenario: string;
  /** `ordinary`, `posthorn`, `floor: …`, or the difference between variants of posthorn. */
  readonly side: string;
  readonly round: number;
  /** Webhooks, deliveries or requests a second; null if only the latency is measured. */
  readonly perSecond: number | null;
  readonly latencyMs?: Percentiles;
  /** The kind of load: in an open loop, latencies count from the time at which a request was due. */
  readonly loop?: 'open' | 'closed';
  readonly cpuSecondsPerThousand?: { readonly service: number; readonly postgres: number };
  readonly walBytesPerWebhook?: number;
  /** The peak memory of the service's largest process. */
  readonly peakMemoryMiB?: number;
  /** Further figures, by name. */
  readonly facts?: Readonly<Record<string, number>>;
  readonly note?: string;
}

/** A scenario of the benchmark. */
export interface Scenario {
  readonly name: string;
  /** A sentence that says what the scenario measures. */
  readonly what: string;
  /** The scenario has only one round, because its preparation takes long. */
  readonly once?: boolean;
  run(bench: Bench): Promise<Measurement[]>;
}

export interface SideOptions {
  readonly env?: Record<string, string>;
  /** Postgres measures the statements of the side. */
  readonly statementTimes?: boolean;
}

/** Starts a side on a new, empty database, and ends both afterwards. */
export async function withSide<T>(
  bench: Bench,
  side: Side,
  { env, statementTimes = false }: SideOptions,
  use: (running: Running) => Promise<T>,
): Promise<T> {
  const databaseUrl = await bench.postgres.createDatabase({ statementTimes });
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

/** Runs a load in a separate process. */
export async function runLoad(load: Load): Promise<LoadResult> {
  const program = startProgram('load.ts');
  try {
    return await program.call<LoadResult>('run', load);
  } finally {
    await program.stop();
  }
}

/** The time of load that is not measured, in which code is compiled and connections are made. */
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

/** The requests to the receiver's path `/arrivals`. */
export type Arrivals = readonly (readonly [sentAtUs: number, arrivedAtUs: number])[];

/** Returns percentiles in milliseconds. They are exact, since there may be only a few values. */
export function percentilesOf(microseconds: readonly number[]): Percentiles {
  const sorted = microseconds.toSorted((a, b) => a - b);
  const at = (share: number) => (sorted[Math.ceil(sorted.length * share) - 1] ?? 0) / 1000;
  return { p50: at(0.5), p95: at(0.95), p99: at(0.99) };
}

/** Waits until the receiver has got `count` requests. Returns the time of the last one. */
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

/** Measures the cost of some work, for each thousand of the number that the work returns. */
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

/** Measures the sides in turn, in each round, so that a drift of the machine affects all of them. */
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
