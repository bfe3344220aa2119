import cluster from 'node:cluster';
import type pg from 'pg';
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Settings } from '../config/settings.ts';
import type { ReplicaState } from '../db/replica.ts';
import type { AttemptResult } from '../deliveries/record.sql.ts';
import type { LoopState } from '../lib/loop-health.ts';
import type { MadeAttempt } from '../sending/courier.ts';
import type { SpanCounts } from '../tracing/tracing.ts';
import { VERSION } from '../version.ts';
import { joinClusterMetrics, metricsOfAll } from './cluster-metrics.ts';
import { type DatabaseCounts, watchDatabase } from './database-metrics.ts';
import { watchProcess } from './process-metrics.ts';
import { watchReplica } from './replica-metrics.ts';
import { createSubscriptionSeries } from './subscription-series.ts';

/** Webhooks that are committed together, and attempts that are recorded together. */
export type Group = 'accept' | 'record';

export interface Metrics {
  readonly accepted: Counter;
  readonly refused: Counter;
  /** Counts an attempt by its status, and times it and how long it waited. */
  observeAttempt(attempt: MadeAttempt): void;
  /** Counts an attempt of a delivery that its receiver pulled, and times it from the pull to its end. */
  observePulled(result: AttemptResult): void;
  /** Counts held deliveries that expired. */
  observeExpired(deliveries: number): void;
  /** Counts a request that was answered, and times it. `route` is the pattern, such as /v1/webhooks/:webhook_id. */
  observeRequest(method: string, route: string, status: number, seconds: number): void;
  /** Counts a transaction, with the number of webhooks or attempts that shared it. */
  observeGroup(group: Group, size: number): void;
  /** Adds the figures of the database; null: another process reports them (reporter.ts). */
  watchDatabase(read: () => Promise<DatabaseCounts | null>): void;
  /** Adds the background work that fails, and the number of its failures. */
  watchLoops(loops: () => readonly LoopState[]): void;
  /** Adds the number of requests that are open at each scrape. */
  watchInFlight(inFlight: () => number): void;
  /** Adds the connections of pools, and who waits for them, by the pools' names. */
  watchPools(pools: Readonly<Record<string, pg.Pool>>): void;
  /** Adds the number of event streams that are open at each scrape. */
  watchStreams(streams: () => number): void;
  /** Adds the number of requests that pull webhooks, most of which wait, at each scrape. */
  watchPulls(pulls: () => number): void;
  /**
   * Adds the state of the replica that reports are read from, at each scrape.
   *
   * @returns what counts the reports that were read, by their `server`: replica or primary.
   */
  watchReplica(read: () => Promise<ReplicaState>): Counter<'server'>;
  /** Adds the number of spans that were made and that were exported, at each scrape. */
  watchSpans(spans: () => SpanCounts): void;
  readonly contentType: string;
  text(): Promise<string>;
}

/**
 * The figures, in Prometheus's text format. None carries a URL or a tenant, and the ids of subscriptions are bounded, so
 * their number is bounded. Under
 * a supervisor they are those of all its processes together. Series whose labels are known exist from the start, since
 * `rate()` does not see the first increase of a series that begins with it.
 */
export function createMetrics({
  metricsSubscriptions,
}: Pick<Settings, 'metricsSubscriptions'>): Metrics {
  const registry = new Registry();
  const registers = [registry];
  watchProcess(registry);
  if (cluster.isWorker) joinClusterMetrics(registry);

  const buildInfo = new Gauge({
    name: 'posthorn_build_info',
    help: 'The version of Posthorn and of Node; always 1',
    labelNames: ['version', 'node'],
    registers,
    aggregator: 'max',
  });
  buildInfo.set({ version: VERSION, node: process.version }, 1);
  const attempts = new Counter({
    name: 'posthorn_attempts_total',
    help: 'Attempts that were made and recorded',
    labelNames: ['status'],
    registers,
  });
  for (const status of ['success', 'failed', 'timeout', 'blocked']) attempts.inc({ status }, 0);
  const duration = new Histogram({
    name: 'posthorn_attempt_duration_seconds',
    help: 'From the start of an attempt to the last byte of its answer',
    buckets: [0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    registers,
  });
  const dueToSent = new Histogram({
    name: 'posthorn_due_to_sent_seconds',
    help: 'From the time at which an attempt was due to the start of its request: of deliveries that came by the queue or straight from intake (queue), and of those that were held (backlog)',
    labelNames: ['from'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60, 300, 1800],
    registers,
  });
  const waited = { queue: dueToSent.labels('queue'), backlog: dueToSent.labels('backlog') };
  dueToSent.zero({ from: 'queue' });
  dueToSent.zero({ from: 'backlog' });
  const expired = new Counter({
    name: 'posthorn_deliveries_expired_total',
    help: 'Held deliveries that failed because their receiver did not come back in time',
    registers,
  });
  const requests = new Histogram({
    name: 'posthorn_http_request_duration_seconds',
    help: 'From the arrival of a request to the last byte of its answer',
    labelNames: ['method', 'route', 'status'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
    registers,
  });
  /** The series by their labels: looking a series up by an object of labels costs several times as much. */
  const series = new Map<string, Histogram.Internal<'method' | 'route' | 'status'>>();
  const groups = new Histogram({
    name: 'posthorn_group_size',
    help: 'Webhooks that were committed together (accept), and attempts that were recorded together (record)',
    labelNames: ['group'],
    buckets: [1, 2, 5, 10, 25, 50, 100, 250, 500],
    registers,
  });
  const groupsOf = { accept: groups.labels('accept'), record: groups.labels('record') };
  groups.zero({ group: 'accept' });
  groups.zero({ group: 'record' });

  const ofSubscriptions =
    metricsSubscriptions > 0 ? createSubscriptionSeries(registry, metricsSubscriptions) : () => {};

  function observeEnded(result: AttemptResult): void {
    attempts.inc({ status: result.status });
    duration.observe(result.durationMs / 1000);
    ofSubscriptions(result);
  }

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
    observeAttempt(attempt) {
      waited[attempt.from].observe(attempt.waitedMs / 1000);
      observeEnded(attempt);
    },
    observePulled: observeEnded,
    observeExpired: (deliveries) => expired.inc(deliveries),
    observeRequest(method, route, status, seconds) {
      const key = `${method} ${route} ${status}`;
      let known = series.get(key);
      if (known === undefined) {
        known = requests.labels(method, route, String(status));
        series.set(key, known);
      }
      known.observe(seconds);
    },
    observeGroup: (group, size) => groupsOf[group].observe(size),
    watchDatabase: (read) => watchDatabase(registry, read),
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
    watchPools(pools) {
      new Gauge({
        name: 'posthorn_pool_connections',
        help: 'Connections to the database that are open, by their pool and whether a statement uses them',
        labelNames: ['pool', 'state'],
        registers,
        collect() {
          for (const [pool, { totalCount, idleCount }] of Object.entries(pools)) {
            this.set({ pool, state: 'idle' }, idleCount);
            this.set({ pool, state: 'used' }, totalCount - idleCount);
          }
        },
      });
      new Gauge({
        name: 'posthorn_pool_waiting',
        help: 'Statements that wait for a connection of the pool',
        labelNames: ['pool'],
        registers,
        collect() {
          for (const [pool, { waitingCount }] of Object.entries(pools))
            this.set({ pool }, waitingCount);
        },
      });
    },
    watchStreams(streams) {
      new Gauge({
        name: 'posthorn_event_streams',
        help: 'Clients that follow GET /v1/stream',
        registers,
        collect() {
          this.set(streams());
        },
      });
    },
    watchPulls(pulls) {
      new Gauge({
        name: 'posthorn_pulls_open',
        help: 'Requests that pull webhooks, most of which wait for some',
        registers,
        collect() {
          this.set(pulls());
        },
      });
    },
    watchReplica: (read) => watchReplica(registry, read),
    watchSpans(spans) {
      const add = (name: string, help: string, pick: (counts: SpanCounts) => number) =>
        new Counter({
          name,
          help,
          registers,
          collect() {
            this.reset();
            this.inc(pick(spans()));
          },
        });
      add('posthorn_spans_ended_total', 'Spans of traces that are recorded', ({ ended }) => ended);
      add(
        'posthorn_spans_exported_total',
        'Spans that the collector has taken; the others wait for it, or were dropped',
        ({ exported }) => exported,
      );
      add(
        'posthorn_spans_skipped_total',
        'Requests and attempts without a span, because there were too many in a second',
        ({ skipped }) => skipped,
      );
    },
    contentType: registry.contentType,
    text: () => (cluster.isWorker ? metricsOfAll(registry) : registry.metrics()),
  };
}
