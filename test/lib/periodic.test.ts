import t from 'tap';
import { createPeriodic } from '../../src/lib/periodic.ts';
import { anyLoop } from '../helpers/loops.ts';
import { until } from '../helpers/until.ts';

const EVERY_MS = 20;

t.test('at a slow pace it runs seldom, and a quick pace begins at once', async (t) => {
  let runs = 0;
  const periodic = createPeriodic({
    everyMs: EVERY_MS,
    loop: anyLoop,
    run: async () => {
      runs += 1;
    },
  });
  t.teardown(() => periodic.stop());
  periodic.start();
  await until('it has run some times', () => runs > 2);
  periodic.setPace(1_000_000);
  // A run that was planned before may still come.
  const before = runs;
  let passed = 0;
  await until('ten times its time have passed', () => {
    passed += 1;
    return passed > 10;
  });
  t.ok(runs <= before + 1, `${runs - before} runs at the slow pace`);
  periodic.setPace(1);
  const again = runs;
  await until('it runs again', () => runs > again + 2);
});

t.test('a new pace starts nothing that was not started, or was stopped', async (t) => {
  let runs = 0;
  const periodic = createPeriodic({
    everyMs: 1,
    loop: anyLoop,
    run: async () => {
      runs += 1;
    },
  });
  periodic.setPace(2);
  periodic.setPace(1);
  let looks = 0;
  await until('it would have run', () => ++looks > 5);
  t.equal(runs, 0);
  periodic.start();
  await until('it has run', () => runs > 0);
  await periodic.stop();
  const before = runs;
  periodic.setPace(1);
  looks = 0;
  await until('it would have run', () => ++looks > 5);
  t.equal(runs, before);
});
