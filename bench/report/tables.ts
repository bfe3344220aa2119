import { bothCpu, judgeTargets, type Results, type Summary, summarise } from './results.ts';

/** Aligns the first column to the left, the others to the right. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) =>
    Math.max(...rows.map((row) => (row[at] ?? '').length)),
  );
  return `${rows
    .map((row) =>
      row
        .map((cell, at) =>
          at === 0 ? cell.padEnd(widths[at] ?? 0) : cell.padStart(widths[at] ?? 0),
        )
        .join('  ')
        .trimEnd(),
    )
    .map((line) => `  ${line}`)
    .join('\n')}\n`;
}

const whole = (value: number | null) =>
  value === null ? '' : Math.round(value).toLocaleString('en');
const ms = (value: number | undefined) => (value === undefined ? '' : value.toFixed(1));
const cpu = (value: number | null) => (value === null ? '' : value.toFixed(3));

export const HEAD = [
  '',
  'per second',
  '±',
  'p50 ms',
  'p95 ms',
  'p99 ms',
  'loop',
  'CPU s/1000: service',
  'Postgres',
  'statements ms',
  'transactions',
  'WAL bytes',
  'peak MiB',
] as const;

/** A summary as the cells of a row. */
export function cellsOf(row: Summary): string[] {
  return [
    row.side,
    whole(row.perSecond),
    row.perSecond === null ? '' : `${Math.round(row.noise * 100)} %`,
    ms(row.latencyMs?.p50),
    ms(row.latencyMs?.p95),
    ms(row.latencyMs?.p99),
    row.loop ?? '',
    cpu(row.serviceCpu),
    cpu(row.postgresCpu),
    cpu(row.facts.statementMs ?? null),
    row.facts.transactions?.toFixed(1) ?? '',
    whole(row.walBytes),
    whole(row.peakMemoryMiB),
  ];
}

export function summaryTable(rows: readonly Summary[]): string {
  const notes = rows.filter(({ note }) => note !== null);
  return (
    table([HEAD, ...rows.map(cellsOf)]) +
    notes.map(({ side, note }) => `  ${side}: ${note}\n`).join('')
  );
}

export const FLOOR_HEAD = [
  'times the floor',
  'p50',
  'p99',
  'CPU: service and Postgres',
  'CPU: Postgres',
  'WAL',
] as const;

/** Compares sides at rest with the floor under the same load: each figure divided by that of the floor. */
export function floorCells(rows: readonly Summary[]): string[][] {
  const own = rows.filter(({ scenario }) => scenario === 'at rest');
  const loadOf = ({ side }: Summary) => side.split(', ').at(-1);
  const isFloor = ({ side }: Summary) => side.startsWith('floor');
  return own.flatMap((row) => {
    const floor = own.find((other) => isFloor(other) && loadOf(other) === loadOf(row));
    if (floor === undefined || isFloor(row)) return [];
    const times = (pick: (summary: Summary) => number | null | undefined) => {
      const [a, b] = [pick(row), pick(floor)];
      return a == null || b == null ? '' : (a / b).toFixed(1);
    };
    return [
      [
        row.side,
        times(({ latencyMs }) => latencyMs?.p50),
        times(({ latencyMs }) => latencyMs?.p99),
        times(bothCpu),
        times(({ postgresCpu }) => postgresCpu),
        times(({ walBytes }) => walBytes),
      ],
    ];
  });
}

export function floorTable(results: Results): string {
  const cells = floorCells(summarise(results.measurements));
  return cells.length === 0 ? '' : `${table([FLOOR_HEAD, ...cells])}\n`;
}

export function targetsTable(results: Results): string {
  const targets = judgeTargets(results);
  if (targets.length === 0) return '';
  return table([
    ['target', 'figure', ''],
    ...targets.map(({ target, figure, met }) => [target, figure, met ? 'met' : 'MISSED']),
  ]);
}

/** Two runs never differ by less. Rounds at a fixed rate, and a single round, show no noise of their own. */
const LEAST_NOISE = 0.05;

/** Two runs side by side. A difference smaller than the noise of both runs together counts as none. */
export function compareTable(before: Results, after: Results): string {
  const old = summarise(before.measurements);
  const rows = summarise(after.measurements).flatMap((now) => {
    const then = old.find(({ scenario, side }) => scenario === now.scenario && side === now.side);
    if (then?.perSecond == null || now.perSecond === null) return [];
    const change = now.perSecond / then.perSecond - 1;
    const noise = Math.max(LEAST_NOISE, now.noise + then.noise);
    return [
      [
        `${now.scenario}: ${now.side}`,
        whole(then.perSecond),
        whole(now.perSecond),
        `${change >= 0 ? '+' : ''}${Math.round(change * 100)} %`,
        `${Math.round(noise * 100)} %`,
        Math.abs(change) > noise ? (change > 0 ? 'faster' : 'SLOWER') : 'the same',
      ],
    ];
  });
  return table([
    ['', before.at.slice(0, 10), after.at.slice(0, 10), 'change', 'noise', ''],
    ...rows,
  ]);
}
