import t from 'tap';
import { throttle } from '../../src/lib/throttle.ts';

t.test('an outage is reported once a second, with the number of reports', async (t) => {
  let nowMs = 0;
  const reports: [string, number][] = [];
  const report = throttle<string>(
    1000,
    (latest, times) => reports.push([latest, times]),
    () => nowMs,
  );
  for (nowMs = 0; nowMs < 2500; nowMs += 100) report(`at ${nowMs}`);
  t.strictSame(reports, [
    ['at 0', 1],
    ['at 1000', 10],
    ['at 2000', 10],
  ]);
});
