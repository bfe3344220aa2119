// What a workload needs: pure arithmetic on measured costs. docs/scaling.md says which part is measured and which is
// assumed.
import { BODY_BYTES, type Costs } from './costs.ts';

const DAY_S = 86_400;

export interface Workload {
  readonly webhooksPerSecond: number;
  readonly deliveriesPerWebhook: number;
  /** Attempts of a delivery, on average: 1.04 if 2 % of them fail twice. */
  readonly attemptsPerDelivery: number;
  readonly bodyBytes: number;
  /** Until a receiver has answered, on average. */
  readonly answerMs: number;
  readonly retentionDays: number;
}

/** Bytes of tables and indexes that stay for as long as history is kept. */
export interface DiskCosts {
  readonly perWebhook: number;
  readonly perDelivery: number;
  readonly perAttempt: number;
}

/** What is assumed of hosts, and not measured. */
export interface Assumptions {
  /** The share of a core that is planned to be used at the busiest time. */
  readonly utilisation: number;
  /** Cores that a process of Node uses at most. */
  readonly coresPerProcess: number;
  /** Requests in flight of a worker process: `POSTHORN_MAX_IN_FLIGHT`. */
  readonly inFlightPerProcess: number;
  /** The busiest time against the average, by which days are counted. */
  readonly peakToAverage: number;
  /** Bytes that checkpoints write to tables for each byte of WAL. */
  readonly dataPerWalByte: number;
}

/** Dollars a month. */
export interface Prices {
  readonly core: number;
  readonly diskGB: number;
  /** WAL that is archived for a week, in an object store. */
  readonly archivedGB: number;
}

export interface Plan {
  readonly deliveriesPerSecond: number;
  /** At full use of each core; see `Assumptions.utilisation`. */
  readonly serviceCores: number;
  readonly postgresCores: number;
  readonly apiProcesses: number;
  readonly workerProcesses: number;
  readonly connections: number;
  readonly requestsInFlight: number;
  readonly walBytesPerSecond: number;
  /** WAL, and what checkpoints write. */
  readonly writtenBytesPerSecond: number;
  readonly diskBytes: number;
  readonly dollars: { readonly cores: number; readonly disk: number; readonly walArchive: number };
}

/** Connections of a process, as docs/operations.md has them. */
const CONNECTIONS = { api: 15, worker: 18 } as const;
const GB = 1e9;
const WEEK_DAYS = 7;

/** Returns what a workload needs at its busiest time, and keeps. */
export function planFor(
  load: Workload,
  costs: Costs,
  disk: DiskCosts,
  assumptions: Assumptions,
  prices: Prices,
): Plan {
  const webhooks = load.webhooksPerSecond;
  const deliveries = webhooks * load.deliveriesPerWebhook;
  const attempts = deliveries * load.attemptsPerDelivery;
  const furtherBytes = Math.max(0, load.bodyBytes - BODY_BYTES);
  // A body is received and stored once, and loaded and sent at each attempt: half of its cost each.
  const bodyCpu = (costs.bodyByteCpu / 2) * furtherBytes * (webhooks + attempts);
  const apiCpu = costs.serviceCpu.perWebhook * webhooks;
  const workerCpu = costs.serviceCpu.perDelivery * attempts;
  const serviceCores = apiCpu + workerCpu + bodyCpu / 2;
  const postgresCores =
    costs.postgresCpu.perWebhook * webhooks +
    costs.postgresCpu.perDelivery * attempts +
    bodyCpu / 2;
  const walBytes =
    (costs.walBytes.perWebhook + furtherBytes) * webhooks + costs.walBytes.perDelivery * attempts;
  const requestsInFlight = (attempts * load.answerMs) / 1_000;
  const processesOf = (cpu: number) =>
    Math.max(1, Math.ceil(cpu / assumptions.utilisation / assumptions.coresPerProcess));
  const apiProcesses = processesOf(apiCpu + bodyCpu / 4);
  const workerProcesses = Math.max(
    processesOf(workerCpu + bodyCpu / 4),
    Math.ceil(requestsInFlight / assumptions.inFlightPerProcess / assumptions.utilisation),
  );
  const keptDays = (DAY_S * load.retentionDays) / assumptions.peakToAverage;
  const diskBytes =
    keptDays *
    ((disk.perWebhook + furtherBytes) * webhooks +
      disk.perDelivery * deliveries +
      disk.perAttempt * attempts);
  const cores = (serviceCores + postgresCores) / assumptions.utilisation;
  const walKept = (walBytes * DAY_S * WEEK_DAYS) / assumptions.peakToAverage;
  return {
    deliveriesPerSecond: deliveries,
    serviceCores,
    postgresCores,
    apiProcesses,
    workerProcesses,
    connections: apiProcesses * CONNECTIONS.api + workerProcesses * CONNECTIONS.worker,
    requestsInFlight,
    walBytesPerSecond: walBytes,
    writtenBytesPerSecond: walBytes * (1 + assumptions.dataPerWalByte),
    diskBytes,
    dollars: {
      cores: cores * prices.core,
      disk: (diskBytes / GB) * prices.diskGB,
      walArchive: (walKept / GB) * prices.archivedGB,
    },
  };
}
