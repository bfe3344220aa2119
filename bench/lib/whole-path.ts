import {
  type Bench,
  costOf,
  type Measurement,
  runLoad,
  type SideOptions,
  untilNothingIsOwed,
  untilReceived,
  warmUp,
  withSide,
} from './bench.ts';
import { type Running, SECRET, type Side } from './sides.ts';

export interface WholePathOptions extends SideOptions {
  readonly scenario: string;
  /** How the measurement is named, where that is not the side's name. */
  readonly as?: string;
  readonly bodyBytes?: number;
  readonly connections?: number;
  /** Makes the circumstances under which the path is measured; what it returns ends them. */
  readonly prepare?: (running: Running) => Promise<(() => Promise<void>) | undefined>;
}

/**
 * Intake and delivery at once: webhooks accepted during the load, divided by the time until the
 * last of them has reached its receiver.
 */
export async function measureWholePath(
  bench: Bench,
  side: Side,
  round: number,
  options: WholePathOptions,
): Promise<Measurement> {
  const { scenario, as = side.name, bodyBytes = 490, connections = 64, prepare } = options;
  return await withSide(bench, side, options, async (running) => {
    const path = await running.subscribe(bench.receiverUrl('/ok'));
    const end = await prepare?.(running);
    const before = await running.owed();
    if (before === 0) await warmUp(running, path);
    await bench.receiver.call('reset');
    await bench.postgres.settle();
    let perSecond = 0;
    let latencyMs = { p50: 0, p95: 0, p99: 0 };
    const cost = await costOf(bench, running, async () => {
      const load = await runLoad({
        port: running.port,
        paths: [path],
        secret: SECRET,
        bodyBytes,
        connections,
        durationMs: bench.seconds * 1000,
      });
      if (Object.keys(load.refused).length > 0)
        throw new Error(`some were refused: ${JSON.stringify(load.refused)}`);
      const lastAt = await untilReceived(bench, load.accepted);
      perSecond = (load.accepted / (lastAt - load.startedAt)) * 1000;
      latencyMs = load.latencyMs;
      return load.accepted;
    });
    if (before === 0) await untilNothingIsOwed(running);
    await end?.();
    return { scenario, side: as, round, perSecond, latencyMs, loop: 'closed', ...cost };
  });
}
