import type pg from 'pg';
import t from 'tap';
import { createBacklog } from '../../src/backlog/backlog.ts';
import { createReader } from '../../src/backlog/reader.ts';
import { createLoopHealth } from '../../src/lib/loop-health.ts';
import { collectLog } from '../helpers/log.ts';
import { until } from '../helpers/until.ts';

t.test('long pages that cannot be read are told, and the backlog is looked at again', async (t) => {
  const { log, lines } = collectLog();
  const health = createLoopHealth({ log, isOutage: () => false });
  const pool = {
    query: async () => {
      throw new Error('too long');
    },
  } as unknown as pg.Pool;
  const woken: number[] = [];
  const reader = createReader(
    pool,
    (_backlog, inMs) => void woken.push(inMs),
    health.watch('read_backlogs', 'reading long backlogs'),
  );
  const backlog = createBacklog(1, performance.now());
  for (let n = 0; n < 2; n++) {
    // Of the last page nothing might be sent.
    backlog.blockedKind = 'ahead';
    backlog.moreAhead = true;
    await reader.read(new Map([[backlog, 1]]), performance.now());
    await until('it is woken', () => woken.length === n + 1);
  }
  t.ok(woken.every((inMs) => inMs >= 1_000));
  t.match(health.reason(), /read_backlogs/);
  t.match(lines, [{ level: 40, loop: 'read_backlogs', reason: 'too long', subscriptionId: 1 }]);
  await reader.stop();
});
