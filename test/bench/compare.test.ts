import t from 'tap';
import type { Measurement } from '../../bench/lib/bench.ts';
import type { Results } from '../../bench/report/results.ts';
import { compareTable } from '../../bench/report/tables.ts';

/** A run with these rates in its rounds. */
function runOf(...rates: number[]): Results {
  return {
    at: '2026-01-01T00:00:00.000Z',
    machine: 'a machine',
    versions: { posthorn: '0', node: '0', postgres: '0' },
    quick: false,
    seconds: 1,
    rounds: rates.length,
    scenarios: [],
    measurements: rates.map(
      (perSecond, nth): Measurement => ({
        scenario: 'drain',
        side: 'posthorn',
        round: nth + 1,
        perSecond,
      }),
    ),
  };
}

const verdictOf = (before: Results, after: Results) =>
  /(the same|faster|SLOWER)$/m.exec(compareTable(before, after))?.[1];

t.test(
  'two runs of one round each that differ by less than a percent count as the same',
  async (t) => {
    t.equal(verdictOf(runOf(1_000), runOf(996)), 'the same');
    t.equal(verdictOf(runOf(1_000), runOf(1_004)), 'the same');
  },
);

t.test('a difference that is larger than the noise of both runs is reported', async (t) => {
  t.equal(verdictOf(runOf(1_000), runOf(900)), 'SLOWER');
  t.equal(verdictOf(runOf(1_000), runOf(1_100)), 'faster');
});

t.test('a difference within the noise of the rounds counts as the same', async (t) => {
  t.equal(verdictOf(runOf(900, 1_000, 1_100), runOf(800, 900, 1_000)), 'the same');
});
