import { alternating, type Bench, type Measurement, type Scenario } from '../lib/bench.ts';
import { measureDrain, POSTHORN } from '../lib/drain.ts';
import { posthorn } from '../lib/sides.ts';
import { measureWholePath } from '../lib/whole-path.ts';

const SCENARIO = 'processes';

export const processes: Scenario = {
  name: SCENARIO,
  what: 'POSTHORN_PROCESSES of 1, 2 and 4 on one database: the whole path, and the drain of waiting deliveries',
  run: (bench) =>
    alternating(
      bench,
      [1, 2, 4].flatMap((count) => [
        [`whole path, ${count}`, (round: number) => measurePath(bench, round, count)] as const,
        [`drain, ${count}`, (round: number) => measureDraining(bench, round, count)] as const,
      ]),
    ),
};

const envOf = (count: number) => ({ POSTHORN_PROCESSES: String(count) });

function measurePath(bench: Bench, round: number, count: number): Promise<Measurement> {
  return measureWholePath(bench, posthorn, round, {
    scenario: SCENARIO,
    as: `whole path, ${count}`,
    env: envOf(count),
  });
}

async function measureDraining(bench: Bench, round: number, count: number): Promise<Measurement> {
  const waiting = bench.quick ? 5_000 : 60_000;
  const env = envOf(count);
  return {
    ...(await measureDrain(bench, POSTHORN, round, SCENARIO, '/ok', waiting, env)),
    side: `drain, ${count}`,
  };
}
