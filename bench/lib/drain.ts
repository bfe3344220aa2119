import { type Bench, costOf, type Measurement, untilReceived, withSide } from './bench.ts';
import { fillOrdinaryQueue, fillPosthornQueue } from './fill.ts';
import { nowMs } from './processes.ts';
import { ordinary, posthorn, type Side } from './sides.ts';

interface Design {
  readonly side: Side;
  /** The environment of a process that takes no jobs. */
  readonly apiOnly: Record<string, string>;
  readonly fill: (databaseUrl: string, subscriptionId: number, count: number) => Promise<void>;
}

export const ORDINARY: Design = {
  side: ordinary,
  apiOnly: { ORDINARY_ROLE: 'api' },
  fill: fillOrdinaryQueue,
};
export const POSTHORN: Design = {
  side: posthorn,
  apiOnly: { POSTHORN_ROLE: 'api' },
  fill: fillPosthornQueue,
};

/** Starts a worker with waiting deliveries, and measures until the last one has reached the receiver. */
export async function measureDrain(
  bench: Bench,
  { side, apiOnly, fill }: Design,
  round: number,
  scenario: string,
  receiverPath: string,
  count: number,
  env: Record<string, string> = {},
): Promise<Measurement> {
  return await withSide(bench, side, { env: apiOnly }, async (api) => {
    const path = await api.subscribe(bench.receiverUrl(receiverPath));
    await fill(api.databaseUrl, Number(path.split('/').at(-1)), count);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    const worker = await side.start(api.databaseUrl, env);
    try {
      let perSecond = 0;
      const cost = await costOf(bench, worker, async () => {
        // The worker sends while it starts, so only the requests after its start count.
        const startedAt = nowMs();
        const { received } = await bench.receiver.call<{ received: number }>('received');
        const lastAt = await untilReceived(bench, count);
        perSecond = ((count - received) / (lastAt - startedAt)) * 1000;
        return count - received;
      });
      return { scenario, side: side.name, round, perSecond, ...cost };
    } finally {
      await worker.stop();
    }
  });
}
