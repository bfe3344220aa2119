import { alternating, type Scenario } from '../lib/bench.ts';
import { ordinary, posthorn } from '../lib/sides.ts';
import { measureWholePath } from '../lib/whole-path.ts';

export const wholePath: Scenario = {
  name: 'whole path',
  what: 'Intake and delivery together: 64 connections, bodies of 490 bytes, until the last webhook has arrived',
  // Twice as many rounds, because this is the most important figure.
  run: (bench) =>
    alternating(
      { ...bench, rounds: bench.quick ? bench.rounds : 2 * bench.rounds },
      [ordinary, posthorn].map((side) => [
        side.name,
        (round) => measureWholePath(bench, side, round, { scenario: 'whole path', as: side.name }),
      ]),
    ),
};
