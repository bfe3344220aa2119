import type { Load } from '../programs/load.ts';
import {
  type Bench,
  costOf,
  type Measurement,
  runLoad,
  type SideOptions,
  untilNothingIsDue,
  untilReceived,
  warmUp,
  withSide,
} from './bench.ts';
import { type Running, SECRET, type Side } from './sides.ts';

export interface WholePathOptions {
  readonly scenario: string;
  /** The name of the side in the results. */
  readonly as: string;
  readonly bodyBytes?: number;
  readonly connections?: number;
  /** Further options of the load. */
  readonly load?: Pick<Load, 'headers' | 'idempotencyKeys' | 'eventTypes'>;
}

/** Measures the whole path of a side on an empty database. */
export async function measureWholePath(
  bench: Bench,
  side: Side,
  round: number,
  options: WholePathOptions & SideOptions,
): Promise<Measurement> {
  return await withSide(bench, side, options, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/ok'));
    await warmUp(bench, running, path);
    return await measureWholePathOf(bench, running, path, round, options);
  });
}

/**
 * Measures intake and delivery together: the webhooks accepted during the load, divided by the time until
 * the last of them has reached its receiver.
 */
export async function measureWholePathOf(
  bench: Bench,
  running: Running,
  path: string | readonly string[],
  round: number,
  { scenario, as, bodyBytes = 490, connections = 64, load: more = {} }: WholePathOptions,
): Promise<Measurement> {
  await bench.receiver.call('reset');
  await bench.postgres.settle();
  let perSecond = 0;
  let latencyMs = { p50: 0, p95: 0, p99: 0 };
  const cost = await costOf(bench, running, async () => {
    const load = await runLoad({
      port: running.port,
      paths: [path].flat(),
      secret: SECRET,
      bodyBytes,
      connections,
      durationMs: bench.seconds * 1000,
      ...more,
    });
    if (Object.keys(load.refused).length > 0)
      throw new Error(`the service refused webhooks: ${JSON.stringify(load.refused)}`);
    const lastAt = await untilReceived(bench, load.accepted);
    perSecond = (load.accepted / (lastAt - load.startedAt)) * 1000;
    latencyMs = load.latencyMs;
    return load.accepted;
  });
  await untilNothingIsDue(running);
  return { scenario, side: as, round, perSecond, latencyMs, loop: 'closed', ...cost };
}
