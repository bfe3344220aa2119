import { pino } from 'pino';
import t from 'tap';
import { queueLogger } from '../../src/db/queue-logger.ts';

function listenedTo() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { base: null, level: 'debug' },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  return { lines, logger: queueLogger(log) };
}

t.test('an error because the database is away is one line, without a stack trace', async (t) => {
  const { lines, logger } = listenedTo();
  const error = new Error('Connection terminated unexpectedly');
  logger.error('Error occurred fetching jobs; will try again', { error });
  logger.error("Failed to complete jobs '1', '2'", { fatalError: error });
  for (let n = 0; n < 300; n++) logger.error(`Failed task ${n} (deliver)\n    at x`, { error });
  t.equal(lines.length, 1);
  t.match(lines[0], { reason: 'Connection terminated unexpectedly' });
  t.notOk('err' in (lines[0] ?? {}));
});

t.test('a queue that ends while the database is away writes no stack trace either', async (t) => {
  const { lines, logger } = listenedTo();
  const returning = new Error(
    'Error occurred whilst returning jobs from local queue to database queue: Connection terminated unexpectedly',
  );
  const ending = new AggregateError([returning], 'Errors occurred whilst deactivating queue');
  logger.error(`Releasing local queue failed: ${returning}`, { error: returning });
  logger.error(`Deactivation failed: ${ending}`, { error: ending });
  t.equal(lines.length, 1);
  t.notOk('err' in (lines[0] ?? {}));
  const bug = new AggregateError([returning, new TypeError('a bug')], 'Errors occurred');
  logger.error(`Deactivation failed: ${bug}`, { error: bug });
  t.ok('err' in (lines[1] ?? {}), 'but for what has another cause');
});

t.test('any other error is logged with its stack trace, each kind once', async (t) => {
  const { lines, logger } = listenedTo();
  for (let n = 0; n < 300; n++) {
    logger.error(`Failed task ${n} (deliver)\n    at x`, { error: new TypeError('a bug') });
  }
  logger.error('Error occurred fetching jobs', { error: new TypeError('another bug') });
  t.match(lines, [
    {
      msg: /^queue: Failed task \d+ \(deliver\)$/,
      err: { message: 'a bug', stack: /queue-logger/ },
    },
    { err: { message: 'another bug' } },
  ]);
  t.equal(lines.length, 2);
});
