import { createRequire } from 'node:module';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { collectDefaultMetrics, Gauge, type Registry } from 'prom-client';

const require = createRequire(import.meta.url);
const RESOLUTION_MS = 10;
const NANOSECONDS = 1e9;

type Delays = ReturnType<typeof monitorEventLoopDelay>;
type DefaultMetric = (registry: Registry, config: object) => void;

/** Gauges that Prometheus' conventions would call counters. They are sums of series that stay. */
const MISNAMED = ['handles', 'requests', 'resources'].map((of) => `nodejs_active_${of}_total`);

/** prom-client's metrics of a Node process, without those that cost an idle process CPU time. */
export function watchProcess(registry: Registry): void {
  for (const name of collectDefaultMetrics.metricsList) {
    if (name === 'eventLoopLag') watchEventLoop(registry);
    else (require(`prom-client/lib/metrics/${name}`) as DefaultMetric)(registry, {});
  }
  for (const name of MISNAMED) registry.removeSingleMetric(name);
}

/** The delays since the last scrape, and how those of several processes are combined. */
const DELAYS = [
  ['min', 'The minimum recorded event loop delay.', 'min', ({ min }) => min],
  ['max', 'The maximum recorded event loop delay.', 'max', ({ max }) => max],
  ['mean', 'The mean of the recorded event loop delays.', 'average', ({ mean }) => mean],
  ['stddev', 'The standard deviation of the delays.', 'average', ({ stddev }) => stddev],
  ['p50', 'The 50th percentile of the delays.', 'average', (all) => all.percentile(50)],
  ['p90', 'The 90th percentile of the delays.', 'average', (all) => all.percentile(90)],
  ['p99', 'The 99th percentile of the delays.', 'average', (all) => all.percentile(99)],
] as const satisfies [string, string, 'min' | 'max' | 'average', (delays: Delays) => number][];

/**
 * Measures delays of the event loop under prom-client's names, from the first scrape on. It needs a timer every
 * 10 ms, which is half of the work of an idle process; prom-client's own timer runs even if nothing scrapes.
 */
function watchEventLoop(registry: Registry): void {
  const registers = [registry];
  let delays: Delays | undefined;
  new Gauge({
    name: 'nodejs_eventloop_lag_seconds',
    help: 'Lag of event loop in seconds.',
    registers,
    aggregator: 'average',
    // This metric is read first in each scrape, so it sets the others.
    async collect() {
      if (delays === undefined) {
        delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
        delays.enable();
      } else if (delays.count > 0) {
        for (const { gauge, read } of gauges) gauge.set(read(delays) / NANOSECONDS);
        delays.reset();
      }
      const startedAt = performance.now();
      await new Promise((resolve) => setImmediate(resolve));
      this.set((performance.now() - startedAt) / 1000);
    },
  });
  const gauges = DELAYS.map(([name, help, aggregator, read]) => ({
    gauge: new Gauge({ name: `nodejs_eventloop_lag_${name}_seconds`, help, registers, aggregator }),
    read,
  }));
}
