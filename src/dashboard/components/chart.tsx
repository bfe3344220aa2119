import { useSignalEffect } from '@preact/signals';
import { useEffect, useRef, useState } from 'preact/hooks';
import uPlot from 'uplot';
import { formatTime } from '../lib/format.ts';
import { theme } from '../theme.ts';

export interface ChartSeries {
  readonly label: string;
  /** A colour of styles/tokens.css, such as `--good-dot`. */
  readonly color: string;
  /** A value for each time; null: there is none. */
  readonly values: readonly (number | null)[];
}

interface ChartProps {
  /** What it shows, with the most important figures, for those who do not see it. */
  readonly label: string;
  /** Unix times in seconds, ascending. */
  readonly times: readonly number[];
  readonly series: readonly ChartSeries[];
  readonly format: (value: number) => string;
}

const HEIGHT = 180;

/** Lines over time. The legend shows the values at the mouse. Its height never changes. */
export function Chart({ label, times, series, format }: ChartProps) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot>(undefined);
  const [at, setAt] = useState<number | null>(null);
  const [look, setLook] = useState(0);
  // Colours are read when the chart is made, so another theme needs another chart.
  useSignalEffect(() => {
    theme.value;
    setLook((n) => n + 1);
  });
  useEffect(() => {
    const preference = matchMedia('(prefers-color-scheme: dark)');
    const change = () => setLook((n) => n + 1);
    preference.addEventListener('change', change);
    return () => preference.removeEventListener('change', change);
  }, []);

  const shape = series.map(({ label, color }) => `${label} ${color}`).join();
  useEffect(() => {
    const element = place.current;
    if (element === null) return;
    const made = new uPlot(
      optionsOf(element, series, format, setAt),
      dataOf(times, series),
      element,
    );
    plot.current = made;
    const resized = new ResizeObserver(() =>
      made.setSize({ width: element.clientWidth, height: HEIGHT }),
    );
    resized.observe(element);
    return () => {
      resized.disconnect();
      made.destroy();
    };
  }, [look, shape]);
  useEffect(() => {
    plot.current?.setData(dataOf(times, series));
  }, [times, series]);

  const time = at === null ? undefined : times[at];
  return (
    <figure class="chart">
      <figcaption>
        {series.map(({ label: name, color, values }) => {
          const value = at === null ? null : values[at];
          return (
            <span key={name} class={`key key${color}`}>
              {name}
              <output>{value === null || value === undefined ? '' : format(value)}</output>
            </span>
          );
        })}
        <output class="muted">
          {time === undefined ? '' : formatTime(new Date(time * 1000), new Date())}
        </output>
      </figcaption>
      <div ref={place} role="img" aria-label={label} class="plot" />
    </figure>
  );
}

function dataOf(times: readonly number[], series: readonly ChartSeries[]): uPlot.AlignedData {
  return [[...times], ...series.map(({ values }) => [...values])];
}

function optionsOf(
  element: HTMLElement,
  series: readonly ChartSeries[],
  format: (value: number) => string,
  onCursor: (at: number | null) => void,
): uPlot.Options {
  const styles = getComputedStyle(element);
  // A canvas needs the colour itself: a token has both themes' colours.
  const color = (token: string) => {
    element.style.color = `var(${token})`;
    const { color } = styles;
    element.style.color = '';
    return color;
  };
  const axis: uPlot.Axis = {
    stroke: color('--text-soft'),
    font: `11px ${styles.fontFamily}`,
    grid: { stroke: color('--line'), width: 1 },
    ticks: { show: false },
  };
  return {
    width: element.clientWidth,
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, points: { size: 7 }, drag: { x: false, y: false } },
    padding: [8, 4, 0, 0],
    scales: {
      y: { range: (_plot, _min, max) => [0, Number.isFinite(max) && max > 0 ? max * 1.1 : 1] },
    },
    axes: [
      {
        ...axis,
        size: 28,
        space: 72,
        values: (_plot, splits, _axis, _space, step) => splits.map(tick(step)),
      },
      { ...axis, size: 56, space: 36, values: (_plot, splits) => splits.map(format) },
    ],
    series: [
      {},
      ...series.map((one) => ({
        label: one.label,
        stroke: color(one.color),
        width: 1.75,
        points: { show: false },
      })),
    ],
    hooks: { setCursor: [({ cursor }) => onCursor(cursor.idx ?? null)] },
  };
}

const CLOCK = new Intl.DateTimeFormat('en-GB', { hour: '2-digit', minute: '2-digit' });
const DAY = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short' });
const DAY_SECONDS = 86_400;

/** Labels of the time axis: hours, or days if the labels are days apart. */
function tick(step: number): (seconds: number) => string {
  const format = step >= DAY_SECONDS ? DAY : CLOCK;
  return (seconds) => format.format(new Date(seconds * 1000));
}
