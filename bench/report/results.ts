import type { Measurement, Percentiles } from '../lib/bench.ts';
import type { Machine } from './machine.ts';

/** A run, as it is kept in bench/results/. */
export interface Results extends Machine {
  readonly quick: boolean;
  readonly seconds: number;
  readonly rounds: number;
  /** What else a reader should know of how it was made. */
  readonly note?: string;
  /** Markdown, written into the file by hand: what has changed since the run. */
  readonly remarks?: string;
  readonly scenarios: readonly { readonly name: string; readonly what: string }[];
  readonly measurements: readonly Measurement[];
}

/** The rounds of one side of one scenario in one row: medians, and how far the rounds lie apart. */
export interface Summary {
  readonly scenario: string;
  readonly side: string;
  readonly perSecond: number | null;
  /** Half the distance between the least and the greatest round, as a share of the median. */
  readonly noise: number;
  readonly latencyMs: Percentiles | null;
  readonly loop: 'open' | 'closed' | null;
  readonly serviceCpu: number | null;
  readonly postgresCpu: number | null;
  readonly walBytes: number | null;
  readonly peakMemoryMiB: number | null;
  /** Medians, each by its name. */
  readonly facts: Readonly<Record<string, number>>;
  readonly note: string | null;
}

/** Medians over the rounds, in the order in which sides were measured. */
export function summarise(measurements: readonly Measurement[]): Summary[] {
  const groups = Map.groupBy(measurements, ({ scenario, side }) => `${scenario}\n${side}`);
  return [...groups.values()].map((rounds) => {
    const [first] = rounds as [Measurement];
    const of = (pick: (one: Measurement) => number | null | undefined) =>
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

/** Something that Posthorn has promised itself, and whether this run shows it. */
export interface Target {
  readonly promise: string;
  readonly figure: string;
  readonly kept: boolean;
}

const MAX_MEMORY_MIB = 250;

/** The promises that a run can show, of those whose scenarios it measured. */
export function judgeTargets({ measurements }: Results): Target[] {
  const rows = summarise(measurements);
  const find = (scenario: string, side: string) =>
    rows.find((row) => row.scenario === scenario && row.side === side);
  const targets: Target[] = [];
  const ratio = (
    promise: string,
    scenario: string,
    side: string,
    to: string,
    least: number,
    show: (ratio: number) => string,
  ) => {
    const [a, b] = [find(scenario, side)?.perSecond, find(scenario, to)?.perSecond];
    if (a == null || b == null) return;
    targets.push({ promise, figure: show(a / b), kept: a / b >= least });
  };
  const times = (value: number) => `${value.toFixed(1)} times`;
  const percent = (value: number) => `${Math.round(value * 100)} %`;
  ratio(
    'whole path: 10 times the ordinary design',
    'whole path',
    'posthorn',
    'ordinary',
    10,
    times,
  );
  ratio(
    'intake: half of its SQL function alone, 100 webhooks a call',
    'intake',
    'posthorn',
    'floor: intake function',
    0.5,
    percent,
  );
  ratio(
    'intake: half of it with as many a call as 64 connections bring together',
    'intake',
    'posthorn',
    'floor: in groups of the same size',
    0.5,
    percent,
  );
  ratio(
    'with keys, idempotency and filters: 85 % of plain ingest is left',
    'sending',
    'with keys, idempotency and filters',
    'ingest',
    0.85,
    percent,
  );
  ratio('drain: 35 % of no-op jobs', 'drain', 'posthorn', 'floor: no-op jobs', 0.35, percent);
  ratio(
    '2,000,000 waiting retries: 90 % is left',
    'retries waiting',
    '2,000,000 retries',
    'without',
    0.9,
    percent,
  );
  ratio(
    '10,000,000 attempts of history: 90 % is left',
    'long history',
    '10,000,000 attempts',
    'without',
    0.9,
    percent,
  );
  ratio(
    'two processes beat one, the whole path',
    'processes',
    'whole path, 2',
    'whole path, 1',
    1,
    (value) => `${value.toFixed(2)} times`,
  );
  ratio(
    'as many receivers that hang: 90 % is left for the healthy',
    'isolation',
    'the other half hangs',
    'the other half is well',
    0.9,
    percent,
  );
  const [alone, beside] = ['the other half is well', 'the other half hangs'].map(
    (side) => find('isolation', side)?.latencyMs?.p99,
  );
  if (alone !== undefined && beside !== undefined) {
    targets.push({
      promise: 'and their p99 at most doubles',
      figure: `${alone.toFixed(1)} ms, ${beside.toFixed(1)} ms`,
      kept: beside <= 2 * alone,
    });
  }
  targets.push(...backlogTargets(find));
  const [calm, bursting] = ['without', 'beside a burst'].map(
    (side) => find('one big', side)?.latencyMs?.p99,
  );
  if (calm !== undefined && bursting !== undefined) {
    targets.push({
      promise: '100,000 at once delay the single webhook of another by less than a second (p99)',
      figure: `${calm.toFixed(0)} ms, ${bursting.toFixed(0)} ms`,
      kept: bursting - calm < 1_000,
    });
  }
  ratio(
    '20,000 subscriptions: 90 % of what 20 do',
    'many subscriptions',
    '20,000 subscriptions',
    '20 subscriptions',
    0.9,
    percent,
  );
  const added = find('latency', 'posthorn')?.latencyMs;
  if (added != null) {
    targets.push({
      promise: 'latency at 200/s: p50 under 10 ms, p99 under 50 ms',
      figure: `${added.p50.toFixed(1)} ms, ${added.p99.toFixed(1)} ms`,
      kept: added.p50 < 10 && added.p99 < 50,
    });
  }
  const pages = rows.filter(({ side }) => side.startsWith('page of '));
  if (pages.length > 0) {
    const slowest = Math.max(...pages.map(({ latencyMs }) => latencyMs?.p99 ?? 0));
    targets.push({
      promise: 'a page of any list on that history: p99 under 20 ms',
      figure: `${slowest.toFixed(1)} ms`,
      kept: slowest < 20,
    });
  }
  const wal = find('whole path', 'posthorn')?.walBytes;
  if (wal != null) {
    targets.push({
      promise: 'at most 2.0 kB of WAL a webhook of 490 bytes',
      figure: `${(wal / 1000).toFixed(2)} kB`,
      kept: wal <= 2000,
    });
  }
  const ours = rows.filter(
    ({ side, peakMemoryMiB }) => side !== 'ordinary' && peakMemoryMiB !== null,
  );
  if (ours.length > 0) {
    const most = Math.max(...ours.map(({ peakMemoryMiB }) => peakMemoryMiB ?? 0));
    targets.push({
      promise: `each process under ${MAX_MEMORY_MIB} MB in every scenario`,
      figure: `${Math.round(most)} MiB`,
      kept: most <= MAX_MEMORY_MIB / 1.048576,
    });
  }
  const statements = rows.find(({ scenario }) => scenario === 'idle')?.note;
  if (statements != null) {
    const [perMinute, core] = (statements.match(/[\d.]+/g) ?? []).map(Number);
    targets.push({
      promise: 'idle: at most 60 statements a minute, under 1 % of a core',
      figure: statements,
      kept: (perMinute ?? 99) <= 60 && (core ?? 99) < 1,
    });
  }
  return targets;
}

/** What others may notice of a million that are held for one receiver, and of its return. */
function backlogTargets(find: (scenario: string, side: string) => Summary | undefined): Target[] {
  const [without, beside, draining] = ['without', 'beside 1,000,000 held', 'while it drains'].map(
    (side) => find('backlog', side),
  );
  if (without?.perSecond == null || beside?.perSecond == null || draining == null) return [];
  const share = beside.perSecond / without.perSecond;
  const p99 = (row: Summary) => row.latencyMs?.p99 ?? 0;
  const { facts } = draining;
  const [othersPerSecond = 0, mostJobs = 0] = [facts.othersPerSecond, facts.mostJobs];
  const [early = 0, late = 0] = [facts.openInFirstHalfSecond, facts.openInTheEnd];
  return [
    {
      promise: '1,000,000 held for a dead receiver: 95 % is left for the others',
      figure: `${Math.round(share * 100)} %`,
      kept: share >= 0.95,
    },
    {
      promise: 'and the queue has no more rows than without',
      figure: `${without.facts.mostJobs}, ${beside.facts.mostJobs}`,
      kept: (beside.facts.mostJobs ?? 0) <= 2 * (without.facts.mostJobs ?? 0) + 100,
    },
    {
      promise: 'while they drain, the others get all of theirs, and their p99 at most doubles',
      figure: `${Math.round(othersPerSecond)} of 500/s, ${p99(without).toFixed(1)} ms, ${p99(draining).toFixed(1)} ms`,
      kept: othersPerSecond >= 475 && p99(draining) <= 2 * p99(without) && mostJobs <= 1_000,
    },
    {
      promise:
        'the receiver that is back takes 20 at once: it gets no more in the first half second, and at most 100 in the end',
      figure: `${Math.round(early)}, ${Math.round(late)}`,
      kept: early <= 20 && late <= 100,
    },
  ];
}
