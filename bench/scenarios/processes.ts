import { alternating, type Scenario } from '../lib/bench.ts';
import { posthorn } from '../lib/sides.ts';
import { measureWholePath } from '../lib/whole-path.ts';

export const processes: Scenario = {
  name: 'processes',
  what: 'The whole path with POSTHORN_PROCESSES of 1, 2 and 4 on one database',
  run: (bench) =>
    alternating(
      bench,
      [1, 2, 4].map((count) => [
        `${count} processes`,
        (round) =>
          measureWholePath(bench, posthorn, round, {
            scenario: 'processes',
            as: `${count} processes`,
            env: { POSTHORN_PROCESSES: String(count) },
          }),
      ]),
    ),
};
