import type { Figures } from './figures.ts';
import { simulate, type Workload } from './simulate.ts';

/** A billion webhooks a day, each to one subscription, and what is simulated of it. */
export const DAY = { webhooksPerSecond: 11_574, subscriptions: 10_000, maxInFlight: 1_000 };
/** One webhook, one subscription, and one place of each worker in so many is simulated. */
export const SLICE = 10;

const HOUR_AND_A_HALF: Workload = {
  seed: 1,
  workers: 5,
  maxInFlight: DAY.maxInFlight / SLICE,
  subscriptions: DAY.subscriptions / SLICE,
  webhooksPerSecond: DAY.webhooksPerSecond / SLICE,
  minutes: 90,
  failingEvery: 50,
  afterMinutes: 0,
};

/** The same share of failing receivers, with more and fewer workers: who finds out that a receiver fails? */
const TEN_MINUTES: Workload = {
  ...HOUR_AND_A_HALF,
  maxInFlight: 200,
  subscriptions: 400,
  webhooksPerSecond: DAY.webhooksPerSecond / 25,
  minutes: 10,
};
const WORKERS = [1, 5, 25];

/** The figures of all runs, as bench/simulation/figures.json has them. */
export interface Simulated {
  readonly failing: Figures;
  readonly healthy: Figures;
  readonly byWorkers: readonly Figures[];
}

export async function runAll(): Promise<Simulated> {
  const byWorkers: Figures[] = [];
  for (const workers of WORKERS) byWorkers.push(await told({ ...TEN_MINUTES, workers }));
  return {
    byWorkers,
    healthy: await told({ ...HOUR_AND_A_HALF, failingEvery: 0, minutes: 10 }),
    failing: await told(HOUR_AND_A_HALF),
  };
}

async function told(workload: Workload): Promise<Figures> {
  const before = process.cpuUsage();
  const figures = await simulate(workload);
  const { user, system } = process.cpuUsage(before);
  const { workers, minutes } = workload;
  console.log(
    `${workers} workers, ${minutes} minutes: ${figures.accepted} webhooks in ${Math.round((user + system) / 1e6)} s of CPU`,
  );
  return figures;
}
