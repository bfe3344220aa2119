import { useMemo } from 'preact/hooks';
import type { StatsSeries } from '../../api/client.ts';
import { Chart } from '../../components/chart.tsx';
import { formatCount, formatDuration, formatShare } from '../../lib/format.ts';

const MINUTE_MS = 60_000;

/** The figures of the window, and their course. */
export function Series({ data }: { data: StatsSeries }) {
  const { total, window } = data;
  const { perMinute, latency, times } = useMemo(() => seriesOf(data), [data]);
  const { p50, p95, p99 } = total.attempt_latency_ms;
  return (
    <>
      <dl class="tiles">
        <Tile name="Accepted" value={formatCount(total.accepted)} about="webhooks" />
        <Tile name="Delivered" value={formatCount(total.succeeded)} about="deliveries" />
        <Tile
          name="Failed"
          value={formatCount(total.failed)}
          about="attempts"
          tone={total.failed > 0 ? 'bad' : undefined}
        />
        <Tile
          name="Success rate"
          value={total.success_rate === null ? '–' : formatShare(total.success_rate)}
          about="of all attempts"
        />
        <Tile
          name="Median latency"
          value={p50 === null ? '–' : formatDuration(p50)}
          about={
            p95 === null || p99 === null
              ? 'of attempts'
              : `p95 ${formatDuration(p95)}, p99 ${formatDuration(p99)}`
          }
        />
      </dl>
      <div class="halves">
        <section class="panel" aria-labelledby="throughput-title">
          <h2 id="throughput-title">Per minute</h2>
          <Chart
            label={`Webhooks and attempts per minute over ${window}: ${total.accepted} accepted, ${total.succeeded} delivered, ${total.failed} failed.`}
            times={times}
            series={perMinute}
            format={formatRate}
          />
        </section>
        <section class="panel" aria-labelledby="latency-title">
          <h2 id="latency-title">Latency of attempts</h2>
          <Chart
            label={`Latency of attempts over ${window}: ${p50 === null ? 'there were none.' : `the median is ${formatDuration(p50)}.`}`}
            times={times}
            series={latency}
            format={formatDuration}
          />
        </section>
      </div>
    </>
  );
}

function Tile({
  name,
  value,
  about,
  tone = '',
}: {
  name: string;
  value: string;
  about: string;
  tone?: string | undefined;
}) {
  return (
    <div class={`tile ${tone}`}>
      <dt>{name}</dt>
      <dd>
        <strong>{value}</strong>
        <span>{about}</span>
      </dd>
    </div>
  );
}

function seriesOf({ points, period, counted_until }: StatsSeries) {
  const minutes = minutesOf(period);
  const times = points.map(({ at }) => Date.parse(at) / 1000);
  // A period that is not counted to its end would look like a fall.
  const counted = Date.parse(counted_until);
  const isWhole = (at: string) => Date.parse(at) + minutes * MINUTE_MS <= counted;
  const valuesOf = (value: (point: StatsSeries['points'][number]) => number | null) =>
    points.map((point) => (isWhole(point.at) ? value(point) : null));
  return {
    times,
    perMinute: [
      { label: 'Accepted', color: '--busy-dot', values: valuesOf((p) => p.accepted / minutes) },
      { label: 'Delivered', color: '--good-dot', values: valuesOf((p) => p.succeeded / minutes) },
      { label: 'Failed', color: '--bad-dot', values: valuesOf((p) => p.failed / minutes) },
    ],
    latency: [
      { label: 'Median', color: '--busy-dot', values: valuesOf((p) => p.attempt_latency_ms.p50) },
      { label: 'p95', color: '--waiting-dot', values: valuesOf((p) => p.attempt_latency_ms.p95) },
      { label: 'p99', color: '--bad-dot', values: valuesOf((p) => p.attempt_latency_ms.p99) },
    ],
  };
}

const UNITS: Readonly<Record<string, number>> = { s: 1 / 60, m: 1, h: 60, d: 1440 };

/** Reads a duration of the API, such as `10m`, in minutes. */
function minutesOf(period: string): number {
  const [, count = '1', unit = 'm'] = /^(\d+)([a-z]+)$/.exec(period) ?? [];
  return Number(count) * (UNITS[unit] ?? 1);
}

function formatRate(perMinute: number): string {
  if (perMinute >= 10 || Number.isInteger(perMinute)) return formatCount(perMinute);
  return perMinute.toFixed(perMinute < 1 ? 2 : 1);
}
