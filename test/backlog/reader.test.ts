import type pg from 'pg';
import t from 'tap';
import { createReader } from '../../src/backlog/reader.ts';
import { createReading } from '../../src/backlog/reading.ts';
import { createLoopHealth } from '../../src/lib/loop-health.ts';
import { collectLog } from '../helpers/log.ts';
import { until } from '../helpers/until.ts';

t.test('long pages that cannot be read are reported, and the backlog is read again', async (t) => {
  const { log, lines } = collectLog();
  const health = createLoopHealth({ log, isOutage: () => false });
  const pool = {
    query: async () => {
      throw new Error('too long');
    },
  } as unknown as pg.Pool;
  const pauses: number[] = [];
  const reader = createReader({
    pool,
    onPage: () => t.fail('there is no page'),
    onFailure: (_backlog, pauseMs) => void pauses.push(pauseMs),
    loop: health.watch('read_backlogs', 'reading long backlogs'),
  });
  const reading = createReading(true, performance.now());
  for (let n = 0; n < 2; n++) {
    // Of the last page nothing might be sent.
    reading.long = { kind: 'ahead', underWay: false };
    await reader.read(new Map([[{ id: 1, reading }, 1]]), performance.now());
    await until('the failure is told', () => pauses.length === n + 1);
  }
  t.ok(pauses.every((pauseMs) => pauseMs >= 1_000));
  t.match(health.reason(), /read_backlogs/);
  t.match(lines, [{ level: 40, loop: 'read_backlogs', reason: 'too long', subscriptionId: 1 }]);
  await reader.stop();
});
