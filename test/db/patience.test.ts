import { pino } from 'pino';
import t from 'tap';
import { createPatience } from '../../src/db/patience.ts';

const away = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });

function listenedTo() {
  const lines: { reason: string; times: number }[] = [];
  const log = pino({ base: null }, { write: (line: string) => void lines.push(JSON.parse(line)) });
  return { lines, log };
}

t.test('work waits for a database that is away, and is logged once', async (t) => {
  const { lines, log } = listenedTo();
  const patience = createPatience(log, new AbortController().signal);
  let tries = 0;
  const result = await patience(async () => {
    tries += 1;
    if (tries < 4) throw away();
    return 'done';
  });
  t.equal(result, 'done');
  t.equal(tries, 4);
  t.match(lines, [{ reason: 'connect ECONNREFUSED', times: 1 }]);
  t.equal(lines.length, 1);
});

t.test('an error of the work itself is thrown at once', async (t) => {
  const patience = createPatience(listenedTo().log, new AbortController().signal);
  let tries = 0;
  const work = patience(async () => {
    tries += 1;
    throw Object.assign(new Error('duplicate key'), { code: '23505' });
  });
  await t.rejects(work, /duplicate key/);
  t.equal(tries, 1);
});

t.test('once it is to give up, the last error is thrown', async (t) => {
  const giveUp = new AbortController();
  const patience = createPatience(listenedTo().log, giveUp.signal);
  const work = patience(async () => {
    giveUp.abort();
    throw away();
  });
  await t.rejects(work, { code: 'ECONNREFUSED' });
});
