import cluster from 'node:cluster';
import { AggregatorRegistry, type Registry } from 'prom-client';

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

/** In a process of a supervisor: gives the supervisor this process's figures when it asks for them. */
export function joinClusterMetrics(registry: Registry): void {
  AggregatorRegistry.setRegistries([registry]);
  new AggregatorRegistry();
}

/** Longer than prom-client waits in the supervisor for processes that do not answer. */
const ALL_METRICS_MS = 6_000;
let questions = 0;

/** Returns the sums over all processes of the supervisor; this process's own if the supervisor does not answer. */
export async function metricsOfAll(own: Registry): Promise<string> {
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
