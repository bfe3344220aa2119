import type { Measurement, Percentiles } from '../lib/bench.ts';
import type { Machine } from './machine.ts';

/** The results of a run, as they are stored in bench/results/. */
export interface Results extends Machine {
  readonly quick: boolean;
  readonly seconds: number;
  readonly rounds: number;
  /** A sentence about how the run was made. */
  readonly note?: string;
  /** Markdown, written into the file by hand: changes since the run. */
  readonly remarks?: string;
  readonly scenarios: readonly { readonly name: string; readonly what: string }[];
  readonly measurements: readonly Measurement[];
}

/** The rounds of one side of one scenario in one row: their medians, and how far they differ. */
export interface Summary {
  readonly scenario: string;
  readonly side: string;
  readonly perSecond: number | null;
  /** Half the distance between the lowest and the highest round, as a share of the median. */
  readonly noise: number;
  readonly latencyMs: Percentiles | null;
  readonly loop: 'open' | 'closed' | null;
  readonly serviceCpu: number | null;
  readonly postgresCpu: number | null;
  readonly walBytes: number | null;
  readonly peakMemoryMiB: number | null;
  /** The medians of the facts, by name. */
  readonly facts: Readonly<Record<string, number>>;
  readonly note: string | null;
}

/** Returns a summary for each side, in the order in which the sides were measured. */
export function summarise(measurements: readonly Measurement[]): Summary[] {
  const groups = Map.groupBy(measurements, ({ scenario, side }) => `${scenario}\n${side}`);
  return [...groups.values()].map((rounds) => {
    const [first] = rounds as [Measurement];
    const of = (pick: (round: Measurement) => number | null | undefined) =>
      median(rounds.map(pick).filter((value) => value !== undefined && value !== null));
    const rates = rounds.map(({ perSecond }) => perSecond).filter((rate) => rate !== null);
    const perSecond = of((one) => one.perSecond);
    return {
      scenario: first.scenario,
      side: first.side,
      perSecond,
      noise: perSecond === null ? 0 : (Math.max(...rates) - Math.min(...rates)) / 2 / perSecond,
      latencyMs:
        first.latencyMs === undefined
          ? null
          : {
              p50: of((one) => one.latencyMs?.p50) as number,
              p95: of((one) => one.latencyMs?.p95) as number,
              p99: of((one) => one.latencyMs?.p99) as number,
            },
      loop: first.loop ?? null,
      serviceCpu: of((one) => one.cpuSecondsPerThousand?.service),
      postgresCpu: of((one) => one.cpuSecondsPerThousand?.postgres),
      walBytes: of((one) => one.walBytesPerWebhook),
      peakMemoryMiB: of((one) => one.peakMemoryMiB),
      facts: Object.fromEntries(
        Object.keys(first.facts ?? {}).map((name) => [
          name,
          of((one) => one.facts?.[name]) as number,
        ]),
      ),
      note: first.note ?? null,
    };
  });
}

function median(values: number[]): number | null {
  if (values.length === 0) return null;
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** A target of Posthorn, the figure of this run, and whether the figure meets the target. */
export interface Target {
  readonly target: string;
  readonly figure: string;
  readonly met: boolean;
}

const MAX_MEMORY_MIB = 210;
const MAX_MEMORY_AT_FULL_LOAD_MIB = 120;

/** Compares the results with the targets of the scenarios that were measured. */
export function judgeTargets({ measurements }: Results): Target[] {
  const rows = summarise(measurements);
  const find = (scenario: string, side: string) =>
    rows.find((row) => row.scenario === scenario && row.side === side);
  const targets: Target[] = [];
  const ratio = (
    target: string,
    scenario: string,
    side: string,
    to: string,
    least: number,
    show: (ratio: number) => string,
  ) => {
    const [a, b] = [find(scenario, side)?.perSecond, find(scenario, to)?.perSecond];
    if (a == null || b == null) return;
    targets.push({ target, figure: show(a / b), met: a / b >= least });
  };
  const times = (value: number) => `${value.toFixed(1)} times`;
  const percent = (value: number) => `${Math.round(value * 100)} %`;
  ratio(
    'whole path: 10 times the throughput of the ordinary design',
    'whole path',
    'posthorn',
    'ordinary',
    10,
    times,
  );
  ratio(
    'intake: 50 % of its SQL function alone, called with 100 webhooks',
    'intake',
    'posthorn',
    'floor: intake function',
    0.5,
    percent,
  );
  ratio(
    'intake: 50 % of its SQL function alone, called with groups of the same size',
    'intake',
    'posthorn',
    'floor: intake function, same groups',
    0.5,
    percent,
  );
  ratio(
    'by type: 95 % of plain ingest, on the whole path',
    'sending',
    'by type',
    'ingest',
    0.95,
    percent,
  );
  ratio(
    'with keys, idempotency and filters: 90 % of plain ingest, on the whole path',
    'sending',
    'with keys, idempotency and filters',
    'ingest',
    0.9,
    percent,
  );
  ratio(
    'drain: 35 % of the rate of no-op jobs',
    'drain',
    'posthorn',
    'floor: no-op jobs',
    0.35,
    percent,
  );
  ratio(
    '2,000,000 waiting retries: 90 % of the throughput without them',
    'retries waiting',
    '2,000,000 retries',
    'without',
    0.9,
    percent,
  );
  ratio(
    '10,000,000 attempts of history: 90 % of the throughput without them',
    'long history',
    '10,000,000 attempts',
    'without',
    0.9,
    percent,
  );
  ratio(
    'two processes: more throughput than one, on the whole path',
    'processes',
    'whole path, 2',
    'whole path, 1',
    1,
    (value) => `${value.toFixed(2)} times`,
  );
  ratio(
    'half of the receivers hang: the healthy half keeps 90 % of its throughput',
    'isolation',
    'beside hanging receivers',
    'beside healthy receivers',
    0.9,
    percent,
  );
  const [healthy, hanging] = ['beside healthy receivers', 'beside hanging receivers'].map(
    (side) => find('isolation', side)?.latencyMs?.p99,
  );
  if (healthy !== undefined && hanging !== undefined) {
    targets.push({
      target: 'half of the receivers hang: the p99 of the healthy half at most doubles',
      figure: `${healthy.toFixed(1)} ms, ${hanging.toFixed(1)} ms`,
      met: hanging <= 2 * healthy,
    });
  }
  targets.push(...backlogTargets(find));
  const [calm, bursting] = ['without a burst', 'beside a burst'].map(
    (side) => find('burst', side)?.latencyMs?.p99,
  );
  if (calm !== undefined && bursting !== undefined) {
    targets.push({
      target:
        '100,000 webhooks at once delay the webhooks of another receiver by less than a second (p99)',
      figure: `${calm.toFixed(0)} ms, ${bursting.toFixed(0)} ms`,
      met: bursting - calm < 1_000,
    });
  }
  ratio(
    '20,000 subscriptions: 90 % of the throughput of 20',
    'many subscriptions',
    '20,000 subscriptions',
    '20 subscriptions',
    0.9,
    percent,
  );
  targets.push(...atRestTargets(find));
  const fanOut = find('fan-out', 'to 10 subscriptions')?.latencyMs;
  if (fanOut != null) {
    targets.push({
      target:
        'each webhook to 10 subscriptions at full load: from the 202 to the first receiver in under 100 ms (p50)',
      figure: `${fanOut.p50.toFixed(0)} ms`,
      met: fanOut.p50 < 100,
    });
  }
  const [few, million] = ['by type, 20 subscriptions', 'by type, 1,000,000 subscriptions'].map(
    (side) => find('many subscriptions', side),
  );
  if (few?.perSecond != null && million?.perSecond != null) {
    const speed = million.perSecond / few.perSecond;
    const cpu = (million.postgresCpu ?? 0) / (few.postgresCpu ?? 0);
    targets.push({
      target:
        '1,000,000 subscriptions of 10,000 tenants, by event type: throughput and CPU of Postgres within 10 % of 20 subscriptions',
      figure: `${percent(speed)}, ${percent(cpu)}`,
      met: speed >= 0.9 && cpu <= 1.1,
    });
  }
  const pages = rows.filter(({ side }) => side.startsWith('page of '));
  if (pages.length > 0) {
    const slowest = Math.max(...pages.map(({ latencyMs }) => latencyMs?.p99 ?? 0));
    targets.push({
      target: 'a page of any list, on that history: p99 under 20 ms',
      figure: `${slowest.toFixed(1)} ms`,
      met: slowest < 20,
    });
  }
  const screens = rows.filter(({ side }) => side.startsWith('screen: '));
  if (screens.length > 0) {
    const slowest = Math.max(...screens.map(({ latencyMs }) => latencyMs?.p95 ?? 0));
    targets.push({
      target: 'each request of a screen of the dashboard, on that history: p95 under 300 ms',
      figure: `${slowest.toFixed(0)} ms`,
      met: slowest < 300,
    });
  }
  const wal = find('whole path', 'posthorn')?.walBytes;
  if (wal != null) {
    targets.push({
      target: 'WAL of a webhook of 490 bytes: at most 2.0 kB',
      figure: `${(wal / 1000).toFixed(2)} kB`,
      met: wal <= 2000,
    });
  }
  const atFullLoad = find('whole path', 'posthorn')?.peakMemoryMiB;
  if (atFullLoad != null) {
    targets.push({
      target: `memory of the service at full load: at most ${MAX_MEMORY_AT_FULL_LOAD_MIB} MiB`,
      figure: `${Math.round(atFullLoad)} MiB`,
      met: atFullLoad <= MAX_MEMORY_AT_FULL_LOAD_MIB,
    });
  }
  const ours = rows.filter(
    ({ side, peakMemoryMiB }) => side !== 'ordinary' && peakMemoryMiB !== null,
  );
  if (ours.length > 0) {
    const most = Math.max(...ours.map(({ peakMemoryMiB }) => peakMemoryMiB ?? 0));
    targets.push({
      target: `memory of each process, in every scenario: at most ${MAX_MEMORY_MIB} MiB`,
      figure: `${Math.round(most)} MiB`,
      met: most <= MAX_MEMORY_MIB,
    });
  }
  const statements = rows.find(({ scenario }) => scenario === 'idle')?.note;
  if (statements != null) {
    const [perMinute, core] = (statements.match(/[\d.]+/g) ?? []).map(Number);
    targets.push({
      target: 'idle: at most 60 statements a minute, and under 1 % of a core',
      figure: statements,
      met: (perMinute ?? 99) <= 60 && (core ?? 99) < 1,
    });
  }
  return targets;
}

/** The CPU of a service and of Postgres together, in seconds for a thousand webhooks. */
export function bothCpu({ serviceCpu, postgresCpu }: Summary): number | null {
  return serviceCpu === null || postgresCpu === null ? null : serviceCpu + postgresCpu;
}

/** The targets for each way of sending at rest. CPU seconds for a thousand are milliseconds for one. */
function atRestTargets(find: (scenario: string, side: string) => Summary | undefined): Target[] {
  const floor = find('at rest', 'floor: commit, then POST, 200/s');
  const postgresLimits = [
    ['ingest', 0.8],
    ['by type', 1.0],
    ['SQL', 1.0],
  ] as const;
  return postgresLimits.flatMap(([way, limit]) => {
    const steady = find('at rest', `${way}, 200/s`);
    const lone = find('at rest', `${way}, a lone webhook`);
    const targets: Target[] = [];
    if (steady?.latencyMs != null && floor?.latencyMs != null) {
      const p50 = steady.latencyMs.p50 / floor.latencyMs.p50;
      const p99 = steady.latencyMs.p99 / floor.latencyMs.p99;
      targets.push({
        target: `${way}, 200 a second: p50 at most 1.5 times, and p99 at most 3 times, that of a commit and a POST`,
        figure: `${p50.toFixed(1)} times, ${p99.toFixed(1)} times`,
        met: p50 <= 1.5 && p99 <= 3,
      });
    }
    if (steady?.serviceCpu != null && steady.postgresCpu !== null) {
      const both = steady.serviceCpu + steady.postgresCpu;
      targets.push({
        target: `${way}, 200 a second: at most 2.0 ms of CPU a webhook, ${limit.toFixed(1)} ms of it in Postgres`,
        figure: `${both.toFixed(2)} ms, ${steady.postgresCpu.toFixed(2)} ms`,
        met: both <= 2 && steady.postgresCpu <= limit,
      });
    }
    if (lone?.latencyMs != null) {
      const { maxMs = Number.POSITIVE_INFINITY } = lone.facts;
      targets.push({
        target: `${way}, a lone webhook after silence: p50 under 5 ms, at most 20 ms`,
        figure: `${lone.latencyMs.p50.toFixed(1)} ms, ${maxMs.toFixed(1)} ms`,
        met: lone.latencyMs.p50 < 5 && maxMs < 20,
      });
    }
    return targets;
  });
}

/** The targets for other receivers while a million deliveries are held for one, and while they are sent. */
function backlogTargets(find: (scenario: string, side: string) => Summary | undefined): Target[] {
  const [without, beside, draining] = [
    'without a backlog',
    'beside a backlog of 1,000,000',
    'while the backlog is sent',
  ].map((side) => find('backlog', side));
  if (without?.perSecond == null || beside?.perSecond == null || draining == null) return [];
  const share = beside.perSecond / without.perSecond;
  const p99 = (row: Summary) => row.latencyMs?.p99 ?? 0;
  const { facts } = draining;
  const [othersPerSecond = 0, mostJobs = 0] = [facts.othersPerSecond, facts.mostJobs];
  const [early = 0, late = 0] = [facts.openInFirstHalfSecond, facts.openInTheEnd];
  return [
    {
      target: '1,000,000 held for a receiver that is down: 95 % of the throughput to the others',
      figure: `${Math.round(share * 100)} %`,
      met: share >= 0.95,
    },
    {
      target: '1,000,000 held: no more jobs in the queue than without them',
      figure: `${without.facts.mostJobs}, ${beside.facts.mostJobs}`,
      met: (beside.facts.mostJobs ?? 0) <= 2 * (without.facts.mostJobs ?? 0) + 100,
    },
    {
      target:
        'while the backlog is sent: the others get all webhooks, and their p99 at most doubles',
      figure: `${Math.round(othersPerSecond)} of 500/s, ${p99(without).toFixed(1)} ms, ${p99(draining).toFixed(1)} ms`,
      met: othersPerSecond >= 475 && p99(draining) <= 2 * p99(without) && mostJobs <= 1_000,
    },
    {
      target:
        'a receiver that is back and takes 20 requests at once: at most 20 in the first half second, at most 100 at the end',
      figure: `${Math.round(early)}, ${Math.round(late)}`,
      met: early <= 20 && late <= 100,
    },
  ];
}
