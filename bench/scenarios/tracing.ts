import {
  alternating,
  type Bench,
  costOf,
  type Measurement,
  runLoad,
  type Scenario,
  untilNothingIsDue,
  untilReceived,
  warmUp,
  withSide,
} from '../lib/bench.ts';
import { posthorn, type Running, SECRET } from '../lib/sides.ts';

const SCENARIO = 'tracing';
const RATES = [200, 50];

export const tracing: Scenario = {
  name: SCENARIO,
  what: `${RATES.join(' and ')} webhooks a second in an open loop, without traces and with spans for all of them, which a receiver of OTLP takes`,
  async run(bench) {
    return await withSide(bench, posthorn, {}, (without) =>
      withSide(
        bench,
        posthorn,
        // The receiver answers 200 to every path.
        { env: { OTEL_EXPORTER_OTLP_ENDPOINT: bench.receiverUrl('') } },
        async (traced) => {
          const sides: { name: string; running: Running; path: string }[] = [];
          for (const [name, running] of [
            ['without traces', without],
            ['with traces', traced],
          ] as const) {
            const path = await running.subscribe(bench.receiverUrl('/ok'));
            await warmUp(bench, running, path);
            sides.push({ name, running, path });
          }
          return await alternating(
            bench,
            RATES.flatMap((rate) =>
              sides.map(
                ({ name, running, path }) =>
                  [
                    `${name}, ${rate}/s`,
                    (round: number) =>
                      measure(bench, running, { side: `${name}, ${rate}/s`, path, rate, round }),
                  ] as const,
              ),
            ),
          );
        },
      ),
    );
  },
};

async function measure(
  bench: Bench,
  running: Running,
  { side, path, rate, round }: { side: string; path: string; rate: number; round: number },
): Promise<Measurement> {
  await bench.receiver.call('reset');
  await bench.postgres.settle();
  const cost = await costOf(bench, running, async () => {
    const { accepted } = await runLoad({
      port: running.port,
      paths: [path],
      secret: SECRET,
      bodyBytes: 490,
      connections: 32,
      durationMs: bench.seconds * 1000,
      rate,
    });
    await untilReceived(bench, accepted);
    return accepted;
  });
  await untilNothingIsDue(running);
  return { scenario: SCENARIO, side, round, perSecond: null, loop: 'open', ...cost };
}
