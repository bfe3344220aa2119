import t from 'tap';
import { createPatience } from '../../src/db/retry-while-unavailable.ts';

const away = () => Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' });
const slow = () => new Error('Query read timeout');

function listenedTo() {
  const failures: unknown[] = [];
  return { failures, loop: { succeeded() {}, failed: (error: unknown) => failures.push(error) } };
}

t.test('work waits while the database is away, and reports each failure to its loop', async (t) => {
  const { failures, loop } = listenedTo();
  const patience = createPatience(new AbortController().signal);
  let tries = 0;
  const result = await patience(async () => {
    tries += 1;
    if (tries < 4) throw away();
    return 'done';
  }, loop);
  t.equal(result, 'done');
  t.equal(tries, 4);
  t.equal(failures.length, 3);
});

t.test('an error of the work itself is thrown at once', async (t) => {
  const patience = createPatience(new AbortController().signal);
  let tries = 0;
  const work = patience(async () => {
    tries += 1;
    throw Object.assign(new Error('duplicate key'), { code: '23505' });
  });
  await t.rejects(work, /duplicate key/);
  t.equal(tries, 1);
});

t.test('timeouts in a row are thrown if the work can be divided', async (t) => {
  const patience = createPatience(new AbortController().signal);
  let tries = 0;
  const work = patience(
    async () => {
      tries += 1;
      throw tries === 2 ? away() : slow();
    },
    listenedTo().loop,
    2,
  );
  await t.rejects(work, /Query read timeout/);
  t.equal(tries, 4, 'what is between them begins the row anew');
});

t.test('after the signal to give up, the last error is thrown', async (t) => {
  const giveUp = new AbortController();
  const patience = createPatience(giveUp.signal);
  const work = patience(async () => {
    giveUp.abort();
    throw away();
  });
  await t.rejects(work, { code: 'ECONNREFUSED' });
});
