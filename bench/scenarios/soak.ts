import { type Measurement, runLoad, type Scenario, untilReceived, withSide } from '../lib/bench.ts';
import { posthorn, SECRET } from '../lib/sides.ts';
import { memoryMiB, peakMemoryMiB, resetPeakMemory } from '../lib/usage.ts';

const RATE = 1_000;

export const soak: Scenario = {
  name: 'soak',
  what: `Ten minutes of ${RATE} webhooks a second in an open loop, to see whether memory stays constant`,
  async run(bench): Promise<Measurement[]> {
    return await withSide(bench, posthorn, {}, async (running) => {
      const { pid } = running;
      const path = await running.subscribe(bench.receiverUrl('/ok'));
      const minutes = bench.quick ? 0.1 : 10;
      resetPeakMemory(pid);
      const samples: number[] = [];
      const everyMs = (minutes * 60_000) / 100;
      const sampling = setInterval(() => {
        samples.push(memoryMiB(pid));
        bench.say(`${samples.length} % of ${minutes} minutes, ${samples.at(-1)} MiB`);
      }, everyMs);
      await bench.receiver.call('reset');
      const { accepted, startedAt, latencyMs } = await runLoad({
        port: running.port,
        paths: [path],
        secret: SECRET,
        bodyBytes: 490,
        connections: 64,
        durationMs: minutes * 60_000,
        rate: RATE,
      });
      clearInterval(sampling);
      const lastAt = await untilReceived(bench, accepted);
      const mean = (from: number, to: number) => {
        const part = samples.slice(from, to);
        return Math.round(part.reduce((sum, mib) => sum + mib, 0) / part.length);
      };
      return [
        {
          scenario: 'soak',
          side: 'posthorn',
          round: 1,
          perSecond: (accepted / (lastAt - startedAt)) * 1000,
          latencyMs,
          loop: 'open',
          peakMemoryMiB: peakMemoryMiB(pid),
          note: `average memory: ${mean(20, 40)} MiB in the third and fourth tenth of the time, ${mean(80, 100)} MiB in the last two`,
        },
      ];
    });
  },
};
