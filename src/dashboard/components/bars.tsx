import { countOf, formatCount } from '../lib/format.ts';

export interface Bar {
  /** When the period begins. */
  readonly at: string;
  readonly attempts: number;
  /** Attempts that did not succeed. */
  readonly failed: number;
}

const HEIGHT = 24;
const WIDTH = 5;
const GAP = 1;
/** A bar of one attempt among thousands must still be seen: some 1.5 pixels. */
const LEAST = 1.5;
const LEAST_LARGE = 0.4;

/** Attempts by period, with the failed ones at the bottom of each bar. What it shows stands beside it as numbers. */
export function Bars({
  bars,
  label,
  large = false,
}: {
  bars: readonly Bar[];
  label: string;
  large?: boolean;
}) {
  const most = Math.max(1, ...bars.map(({ attempts }) => attempts));
  const least = large ? LEAST_LARGE : LEAST;
  const heightOf = (count: number) => (count === 0 ? 0 : Math.max(least, (count / most) * HEIGHT));
  return (
    <svg
      class={large ? 'bars large' : 'bars'}
      viewBox={`0 0 ${bars.length * WIDTH} ${HEIGHT}`}
      preserveAspectRatio="none"
      role="img"
      aria-label={`${label}: ${sayCounts(bars)}`}
    >
      <path class="bars-ground" d={`M0 ${HEIGHT - 0.25}H${bars.length * WIDTH}`} />
      {bars.map(({ at, attempts, failed }, n) => {
        const [whole, bad] = [heightOf(attempts), heightOf(failed)];
        const x = n * WIDTH + GAP / 2;
        return (
          <g key={at}>
            <title>{`${new Date(at).toLocaleString()}: ${sayCounts([{ at, attempts, failed }])}`}</title>
            {/* The whole height reacts to the pointer. */}
            <rect class="bars-reach" x={n * WIDTH} y={0} width={WIDTH} height={HEIGHT} />
            <rect class="bar" x={x} y={HEIGHT - whole} width={WIDTH - GAP} height={whole} />
            <rect class="bar bad" x={x} y={HEIGHT - bad} width={WIDTH - GAP} height={bad} />
          </g>
        );
      })}
    </svg>
  );
}

/** Sums up: `1,204 attempts, 3 failed`. */
export function sayCounts(bars: readonly Bar[]): string {
  const sum = (of: (bar: Bar) => number) => bars.reduce((total, bar) => total + of(bar), 0);
  const [attempts, failed] = [sum((bar) => bar.attempts), sum((bar) => bar.failed)];
  if (attempts === 0) return 'no attempts';
  return `${countOf(attempts, 'attempt', 'attempts')}, ${failed === 0 ? 'none' : formatCount(failed)} failed`;
}
