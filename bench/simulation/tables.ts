// The tables of docs/scaling.md about the simulation.
import type { Costs } from '../scaling/costs.ts';
import { usesOf } from '../scaling/limits.ts';
import { planFor } from '../scaling/plan.ts';
import { ASSUMPTIONS, DISK, MACHINE, ORDINARY, PRICES } from '../scaling/reference.ts';
import { table, whole } from '../scaling/table.ts';
import type { Figures, KindFigures } from './figures.ts';
import { DAY, type Simulated, SLICE } from './runs.ts';

export function simulationTables({ failing, byWorkers }: Simulated, costs: Costs) {
  return {
    simulation: kindsTable(failing),
    needs: needsTable(failing, costs),
    recoveries: recoveriesTable(failing),
    workers: workersTable(byWorkers),
  };
}

function kindsTable({ kinds, workload }: Figures): string {
  const seconds = workload.minutes * 60;
  const places = kinds.reduce((sum, { placeSeconds }) => sum + placeSeconds, 0);
  const requests = kinds.reduce((sum, one) => sum + one.requests, 0);
  return table(
    [
      'receivers',
      'how many',
      'webhooks a second',
      'requests a second',
      'that fail',
      'of all requests',
      'of all places',
      'circuit opened, times each',
      'held, at most',
      'at the end',
      'delivered after, p50',
      'p99',
    ],
    kinds.map((one) => [
      one.kind,
      whole(one.receivers),
      (one.accepted / seconds).toFixed(2),
      (one.requests / seconds).toFixed(2),
      percent(one.failedRequests / one.requests),
      percent(one.requests / requests, 2),
      percent(one.placeSeconds / places, 1),
      (one.circuitsOpened / one.receivers).toFixed(0),
      whole(one.mostHeld),
      whole(one.heldAtEnd),
      duration(one.deliveredP50),
      duration(one.deliveredP99),
    ]),
  );
}

/** What a whole day at this rate needs, by the model of bench/scaling with the attempts that the simulation made. */
function needsTable({ requests, accepted, meanInFlight, workload }: Figures, costs: Costs): string {
  // It is as busy all day, so that a day has a billion.
  const assumptions = { ...ASSUMPTIONS, peakToAverage: 1 };
  const load = {
    ...ORDINARY,
    webhooksPerSecond: DAY.webhooksPerSecond,
    deliveriesPerWebhook: 1,
    attemptsPerDelivery: requests / accepted,
    answerMs: (SLICE * meanInFlight * 1_000) / DAY.webhooksPerSecond,
  };
  const plan = planFor(load, costs, DISK, assumptions, PRICES);
  const uses = new Map(
    usesOf(plan, MACHINE, assumptions).map(({ resource, share }) => [resource, percent(share)]),
  );
  const cores = (value: number) => (value / ASSUMPTIONS.utilisation).toFixed(1);
  const disk = `${(plan.diskBytes / 1e12).toFixed(1)} TB for 30 days`;
  const places = workload.workers * DAY.maxInFlight;
  return table(
    ['', 'needed', 'of that primary, or of these workers'],
    [
      ['disk space', disk, uses.get('disk space') ?? ''],
      [
        'disk throughput',
        `${(plan.writtenBytesPerSecond / 1e6).toFixed(0)} MB/s`,
        uses.get('disk throughput') ?? '',
      ],
      ['cores of Postgres', cores(plan.postgresCores), uses.get('cores of Postgres') ?? ''],
      [
        `connections (${plan.apiProcesses} API processes, ${plan.workerProcesses} workers)`,
        whole(plan.connections),
        uses.get('connections') ?? '',
      ],
      ['cores of the service', cores(plan.serviceCores), ''],
      [
        `requests in flight, of ${workload.workers} workers`,
        whole(SLICE * meanInFlight),
        percent((SLICE * meanInFlight) / places),
      ],
    ],
  );
}

function recoveriesTable({ recoveries }: Figures): string {
  return table(
    [
      'webhooks a second',
      'held when it was back',
      'until the first request',
      'until nothing was held',
      'requests in flight, at most',
      'that it works on at once',
      'failed requests afterwards',
    ],
    recoveries.map((one) => [
      one.perSecond.toFixed(2),
      whole(one.held),
      duration(one.foundMs),
      duration(one.sentMs),
      whole(one.mostInFlight),
      whole(one.places),
      whole(one.failedRequests),
    ]),
  );
}

function workersTable(runs: readonly Figures[]): string {
  const of = ({ kinds }: Figures, kind: KindFigures['kind']) =>
    kinds.find((one) => one.kind === kind) as KindFigures;
  const wasted = (run: Figures, kind: KindFigures['kind']) =>
    whole(of(run, kind).failedRequests / of(run, kind).receivers);
  return table(
    [
      'workers',
      'requests to one that refuses connections',
      'to one that never answers',
      'places of those that never answer',
    ],
    runs.map((run) => [
      whole(run.workload.workers),
      wasted(run, 'refuses connections'),
      wasted(run, 'never answers'),
      (of(run, 'never answers').placeSeconds / (run.workload.minutes * 60)).toFixed(1),
    ]),
  );
}

const percent = (share: number, digits = 0) => `${(100 * share).toFixed(digits)} %`;

function duration(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 1_000) return `${ms.toFixed(0)} ms`;
  if (ms < 60_000) return `${(ms / 1_000).toFixed(1)} s`;
  return `${(ms / 60_000).toFixed(1)} min`;
}
