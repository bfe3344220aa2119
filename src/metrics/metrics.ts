import cluster from 'node:cluster';
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import type { ReceiverCounts } from '../health/health.sql.ts';
import type { LoopState } from '../lib/loop-health.ts';
import { watchProcess } from './process-metrics.ts';

export interface Metrics {
  readonly accepted: Counter;
  readonly refused: Counter;
  /** Counts an attempt by its status, and times it. */
  observeAttempt(result: AttemptResult): void;
  /** Counts held deliveries that expired. */
  observeExpired(deliveries: number): void;
  /** Adds the number of failing subscriptions, read from the database at each scrape. */
  watchReceivers(count: () => Promise<ReceiverCounts>): void;
  /** Adds the background work that fails, and the number of its failures. */
  watchLoops(loops: () => readonly LoopState[]): void;
  /** Adds the number of requests that are open at each scrape. */
  watchInFlight(inFlight: () => number): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/** Gauges of the same scrape share a query. */
const COUNTS_FRESH_MS = 1_000;

/** All reads within this time get the same answer. */
function once<T>(ask: () => Promise<T>, freshMs: number): () => Promise<T> {
  let answer: Promise<T> | undefined;
  let askedAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (answer === undefined || performance.now() - askedAt > freshMs) {
      askedAt = performance.now();
      answer = ask();
    }
    return answer;
  };
}

/** The messages by which a process asks the supervisor for the figures of all processes. */
const ALL_METRICS = 'posthorn:all-metrics';

interface AllMetrics {
  readonly type: typeof ALL_METRICS;
  readonly id: number;
  readonly text?: string;
}

/** In the supervisor: answers processes that ask for the figures of all of them. */
export function serveClusterMetrics(): void {
  const registry = new AggregatorRegistry();
  cluster.on('message', async (worker, message: AllMetrics) => {
    if (message?.type !== ALL_METRICS) return;
    // Without an answer, the asking process shows its own figures.
    const text = await registry.clusterMetrics().catch(() => undefined);
    if (worker.isConnected()) worker.send({ ...message, text });
  });
}

/** Longer than prom-client waits in the supervisor for processes that do not answer. */
const ALL_METRICS_MS = 6_000;
let questions = 0;

/** For several processes: the figures are sums over all processes, whichever process is scraped. */
async function metricsOfAll(own: Registry): Promise<string> {
  questions += 1;
  const id = questions;
  const text = await new Promise<string | undefined>((resolve) => {
    const finish = (answer?: string) => {
      process.off('message', onMessage);
      clearTimeout(timer);
      resolve(answer);
    };
    const onMessage = (message: AllMetrics) => {
      if (message?.type === ALL_METRICS && message.id === id) finish(message.text);
    };
    // The supervisor may be frozen.
    const timer = setTimeout(finish, ALL_METRICS_MS);
    process.on('message', onMessage);
    process.send?.({ type: ALL_METRICS, id } satisfies AllMetrics);
  });
  return text ?? (await own.metrics());
}

/**
 * The figures, in Prometheus's text format. None carries an id, a URL or a tenant. Under a
 * supervisor they are those of all its processes together.
 */
export function createMetrics(): Metrics {
  const registers = [new Registry()];
  const [registry] = registers as [Registry];
  watchProcess(registry);
  if (cluster.isWorker) {
    AggregatorRegistry.setRegistries(registers);
    new AggregatorRegistry();
  }
  const attempts = new Counter({
    name: 'posthorn_attempts_total',
    help: 'Attempts that were made and recorded',
    labelNames: ['status'],
    registers,
  });
  const duration = new Histogram({
    name: 'posthorn_attempt_duration_seconds',
    help: 'From the start of an attempt to the last byte of its answer',
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const expired = new Counter({
    name: 'posthorn_deliveries_expired_total',
    help: 'Held deliveries that failed because their receiver did not come back in time',
    registers,
  });
  return {
    accepted: new Counter({
      name: 'posthorn_webhooks_accepted_total',
      help: 'Webhooks that were committed and answered with 202',
      registers,
    }),
    refused: new Counter({
      name: 'posthorn_webhooks_refused_total',
      help: 'Webhooks that were answered with 503, because the database could not take them',
      registers,
    }),
    observeAttempt({ status, durationMs }) {
      attempts.inc({ status });
      duration.observe(durationMs / 1000);
    },
    observeExpired: (deliveries) => expired.inc(deliveries),
    watchReceivers(count) {
      const gauge = (name: string, help: string, key: keyof ReceiverCounts) =>
        new Gauge({
          name,
          help,
          registers,
          // All processes see the same database.
          aggregator: 'max',
          async collect() {
            // Without the database these are unknown, and the other metrics matter even more.
            const counts = await latest().catch(() => undefined);
            if (counts === undefined) this.remove();
            else this.set(counts[key]);
          },
        });
      const latest = once(count, COUNTS_FRESH_MS);
      gauge(
        'posthorn_subscriptions_failing',
        'Subscriptions that fail: several times, and no success since',
        'failing',
      );
      gauge('posthorn_circuits_open', 'Subscriptions whose circuit is open', 'open');
      gauge('posthorn_subscriptions_disabled', 'Subscriptions that are disabled', 'disabled');
    },
    watchLoops(loops) {
      new Gauge({
        name: 'posthorn_loop_failing',
        help: 'Whether background work has failed at least twice in a row',
        labelNames: ['loop'],
        registers,
        // In any of the processes.
        aggregator: 'max',
        collect() {
          for (const { name, failing } of loops()) this.set({ loop: name }, Number(failing));
        },
      });
      new Counter({
        name: 'posthorn_loop_failures_total',
        help: 'Failures of background work, each of which is tried again',
        labelNames: ['loop'],
        registers,
        collect() {
          this.reset();
          for (const { name, failures } of loops()) this.inc({ loop: name }, failures);
        },
      });
    },
    watchInFlight(inFlight) {
      new Gauge({
        name: 'posthorn_in_flight',
        help: 'Deliveries with an open request',
        registers,
        collect() {
          this.set(inFlight());
        },
      });
    },
    contentType: registry.contentType,
    text: () => (cluster.isWorker ? metricsOfAll(registry) : registry.metrics()),
  };
}
