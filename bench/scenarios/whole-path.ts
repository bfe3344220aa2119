import { alternating, type Scenario } from '../lib/bench.ts';
import { ordinary, posthorn } from '../lib/sides.ts';
import { measureWholePath } from '../lib/whole-path.ts';

export const wholePath: Scenario = {
  name: 'whole path',
  what: 'Intake and delivery at once, from 64 connections, 490-byte bodies, until the last webhook has arrived',
  // What everything else is judged by has twice as many rounds.
  run: (bench) =>
    alternating(
      { ...bench, rounds: bench.quick ? bench.rounds : 2 * bench.rounds },
      [ordinary, posthorn].map((side) => [
        side.name,
        (round) => measureWholePath(bench, side, round, { scenario: 'whole path', as: side.name }),
      ]),
    ),
};
