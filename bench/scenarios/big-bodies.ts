import { alternating, type Scenario } from '../lib/bench.ts';
import { ordinary, posthorn } from '../lib/sides.ts';
import { measureWholePath } from '../lib/whole-path.ts';

export const bigBodies: Scenario = {
  name: 'big bodies',
  what: 'The whole path with bodies of 256 KiB, from 16 connections',
  run: (bench) =>
    alternating(
      bench,
      [ordinary, posthorn].map((side) => [
        side.name,
        (round) =>
          measureWholePath(bench, side, round, {
            scenario: 'big bodies',
            as: side.name,
            bodyBytes: 256 * 1024,
            connections: 16,
          }),
      ]),
    ),
};
