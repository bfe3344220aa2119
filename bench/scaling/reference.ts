// The figures of docs/scaling.md that the benchmark's results do not have: those of disk are measured, all others are
// assumed. Change them to those of your hosts, and run `node bench/scaling/main.ts`.
import type { Machine } from './limits.ts';
import type { Assumptions, DiskCosts, Prices, Workload } from './plan.ts';

/**
 * *Measured* on 2026-11-28 with bodies of 499 bytes that cannot be compressed: the tables with their indexes after 15,000
 * webhooks with 35,000 deliveries of one attempt each, without what they had when they were empty.
 */
export const DISK: DiskCosts = { perWebhook: 665, perDelivery: 337, perAttempt: 211 };

export const ASSUMPTIONS: Assumptions = {
  utilisation: 0.6,
  coresPerProcess: 1.2,
  inFlightPerProcess: 1_000,
  peakToAverage: 3,
  dataPerWalByte: 1,
};

/** About what large clouds take for a core with 4 GB of memory, for SSD, and for an object store. */
export const PRICES: Prices = { core: 35, diskGB: 0.1, archivedGB: 0.023 };

/** A primary of middle size, with one disk for everything. */
export const MACHINE: Machine = {
  postgresCores: 16,
  diskBytesPerSecond: 250e6,
  diskBytes: 4e12,
  maxConnections: 400,
};

/** An ordinary workload: two subscriptions get each webhook, and 2 % of the deliveries fail twice before they succeed. */
export const ORDINARY: Omit<Workload, 'webhooksPerSecond'> = {
  deliveriesPerWebhook: 2,
  attemptsPerDelivery: 1.04,
  bodyBytes: 1_000,
  answerMs: 200,
  retentionDays: 30,
};
