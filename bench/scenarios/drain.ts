import {
  alternating,
  type Bench,
  type Measurement,
  type Scenario,
  withSide,
} from '../lib/bench.ts';
import { measureDrain, ORDINARY, POSTHORN } from '../lib/drain.ts';
import { startProgram } from '../lib/processes.ts';
import { posthorn } from '../lib/sides.ts';

const SCENARIO = 'drain';

export const drain: Scenario = {
  name: SCENARIO,
  what: '100,000 waiting deliveries (5,000 for the ordinary design, which is slow) are sent to a receiver that answers at once',
  run: (bench) => {
    const share = bench.quick ? 10 : 1;
    return alternating(bench, [
      ['ordinary', (round) => measureDrain(bench, ORDINARY, round, SCENARIO, '/ok', 5_000 / share)],
      [
        'posthorn',
        (round) => measureDrain(bench, POSTHORN, round, SCENARIO, '/ok', 100_000 / share),
      ],
      ['floor: no-op jobs', (round) => noOpJobs(bench, round, 100_000 / share)],
      ['floor: requests alone', (round) => requestsAlone(bench, round)],
    ]);
  },
};

async function noOpJobs(bench: Bench, round: number, count: number): Promise<Measurement> {
  return await withSide(bench, posthorn, { env: POSTHORN.apiOnly }, async (running) => {
    const program = startProgram('floor.ts');
    try {
      const perSecond = await program.call<number>('noOpJobs', running.databaseUrl, count);
      return { scenario: SCENARIO, side: 'floor: no-op jobs', round, perSecond };
    } finally {
      await program.stop();
    }
  });
}

/** Makes requests only: loads, signs and records nothing. */
async function requestsAlone(bench: Bench, round: number): Promise<Measurement> {
  const program = startProgram('floor.ts');
  try {
    const perSecond = await program.call<number>(
      'requestsAlone',
      bench.receiverUrl('/ok'),
      490,
      64,
      bench.seconds * 1000,
    );
    return { scenario: SCENARIO, side: 'floor: requests alone', round, perSecond };
  } finally {
    await program.stop();
  }
}
