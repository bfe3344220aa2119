import * as echarts from 'echarts';
import type { Summary } from './results.ts';

const WIDTH = 760;
/** Colours that can be read on light and on dark pages. */
const COLOURS = { ordinary: '#9aa0a6', posthorn: '#2f7ed8', floor: '#c8b88a', text: '#7a7f85' };

interface Bar {
  readonly name: string;
  readonly value: number;
  readonly colour: string;
}

/** Returns an SVG document with horizontal bars and their figures. */
function bars(title: string, unit: string, rows: readonly Bar[], digits = 0): string {
  const chart = echarts.init(null, null, {
    renderer: 'svg',
    ssr: true,
    width: WIDTH,
    height: 70 + rows.length * 30,
  });
  chart.setOption({
    animation: false,
    title: { text: title, subtext: unit, textStyle: { fontSize: 14, color: COLOURS.text } },
    grid: { left: 10, right: 90, top: 55, bottom: 5, containLabel: true },
    xAxis: { type: 'value', show: false },
    yAxis: {
      type: 'category',
      inverse: true,
      data: rows.map(({ name }) => name),
      axisLine: { show: false },
      axisTick: { show: false },
      axisLabel: { color: COLOURS.text },
    },
    series: [
      {
        type: 'bar',
        barWidth: 16,
        label: {
          show: true,
          position: 'right',
          color: COLOURS.text,
          formatter: ({ value }: { value: unknown }) =>
            Number(value).toLocaleString('en', {
              maximumFractionDigits: digits,
              minimumFractionDigits: digits,
            }),
        },
        data: rows.map(({ value, colour }) => ({ value, itemStyle: { color: colour } })),
      },
    ],
  });
  const svg = chart.renderToSVGString();
  chart.dispose();
  return `${svg}\n`;
}

const colourOf = (side: string) =>
  side === 'ordinary'
    ? COLOURS.ordinary
    : side.startsWith('floor')
      ? COLOURS.floor
      : COLOURS.posthorn;

/** Returns a chart of the throughput of a scenario's sides. */
export function throughputChart(scenario: string, rows: readonly Summary[]): string {
  return bars(
    scenario,
    'a second; longer is better',
    rows.flatMap(({ side, perSecond }) =>
      perSecond === null ? [] : [{ name: side, value: perSecond, colour: colourOf(side) }],
    ),
  );
}

/** Returns a chart of the latencies of a scenario's sides. */
export function latencyChart(scenario: string, rows: readonly Summary[]): string {
  return bars(
    scenario,
    'milliseconds; shorter is better',
    rows.flatMap(({ side, latencyMs }) =>
      latencyMs === null
        ? []
        : (['p50', 'p95', 'p99'] as const).map((name) => ({
            name: `${side} ${name}`,
            value: latencyMs[name],
            colour: colourOf(side),
          })),
    ),
    1,
  );
}
