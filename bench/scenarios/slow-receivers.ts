import { alternating, type Scenario } from '../lib/bench.ts';
import { measureDrain, ORDINARY, POSTHORN } from '../lib/drain.ts';

export const slowReceivers: Scenario = {
  name: 'slow receivers',
  what: 'The receiver takes 200 ms to answer; up to 1,000 requests are in flight (20 for the ordinary design)',
  run: (bench) => {
    const share = bench.quick ? 10 : 1;
    return alternating(bench, [
      [
        'ordinary',
        (round) =>
          measureDrain(bench, ORDINARY, round, 'slow receivers', '/wait/200', 1_000 / share),
      ],
      [
        'posthorn',
        (round) =>
          measureDrain(bench, POSTHORN, round, 'slow receivers', '/wait/200', 50_000 / share),
      ],
    ]);
  },
};
