import { Gauge, type Registry } from 'prom-client';
import { HELD_REASONS } from '../deliveries/held-reasons.ts';
import type { ReceiverCounts } from '../health/health.sql.ts';
import { MAX_COUNTED, type QueueCounts } from './queue-counts.sql.ts';

/** The figures of the database, which are the same for every process. */
export interface DatabaseCounts {
  readonly receivers: ReceiverCounts;
  readonly queue: QueueCounts;
}

/** Gauges of the same scrape share one answer. */
const FRESH_MS = 1_000;

/**
 * Adds the figures of the database, read at each scrape.
 *
 * @param read returns null if another process reports them. Then this process has no such series, so that a sum over
 *   all processes is right. If it rejects, the series are missing too: the figures are unknown, and the other metrics
 *   matter even more.
 */
export function watchDatabase(
  registry: Registry,
  read: () => Promise<DatabaseCounts | null>,
): void {
  const latest = shared(() => read().catch(() => null), FRESH_MS);

  function gauge(name: string, help: string, pick: (counts: DatabaseCounts) => number): void {
    new Gauge({
      name,
      help,
      registers: [registry],
      async collect() {
        const counts = await latest();
        if (counts === null) this.remove();
        else this.set(pick(counts));
      },
    });
  }

  gauge(
    'posthorn_queue_depth',
    `Deliveries that are due and wait for a worker, counted up to ${MAX_COUNTED}`,
    ({ queue }) => queue.due,
  );
  gauge(
    'posthorn_oldest_due_age_seconds',
    'The time since the oldest delivery that waits for a worker was due; 0 if none waits',
    ({ queue }) => queue.oldest_due_s,
  );
  gauge(
    'posthorn_subscriptions_failing',
    'Subscriptions that fail: several times, and no success since',
    ({ receivers }) => receivers.failing,
  );
  gauge(
    'posthorn_circuits_open',
    'Subscriptions whose circuit is open',
    ({ receivers }) => receivers.open,
  );
  gauge(
    'posthorn_subscriptions_disabled',
    'Subscriptions that are disabled',
    ({ receivers }) => receivers.disabled,
  );
  new Gauge({
    name: 'posthorn_held_deliveries',
    help: `Deliveries that are held outside the queue, by the reason of their subscription, counted up to ${MAX_COUNTED}`,
    labelNames: ['reason'],
    registers: [registry],
    async collect() {
      const counts = await latest();
      for (const reason of HELD_REASONS) {
        if (counts === null) this.remove({ reason });
        else this.set({ reason }, counts.queue.held[reason] ?? 0);
      }
    },
  });
}

/** All calls within this time get the same answer. */
function shared<T>(ask: () => Promise<T>, freshMs: number): () => Promise<T> {
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
