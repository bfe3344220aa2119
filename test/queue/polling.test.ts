import { mock } from 'node:test';
import t from 'tap';
import { createPolling } from '../../src/queue/polling.ts';

const SECOND = 1_000;

t.test('the oldest worker polls, and so does one that had jobs a moment ago', async (t) => {
  mock.timers.enable({ apis: ['setInterval'] });
  let now = 0;
  const original = performance.now;
  performance.now = () => now;
  t.teardown(() => {
    mock.timers.reset();
    performance.now = original;
  });
  let polls = 0;
  const polling = createPolling(() => {
    polls += 1;
  });
  const pollsIn = (seconds: number) => {
    const before = polls;
    for (let s = 0; s < seconds; s++) {
      now += SECOND;
      mock.timers.tick(SECOND);
    }
    return polls - before;
  };
  polling.start();
  t.equal(pollsIn(30), 10, 'before it knows of others');
  polling.setOlder(3);
  t.equal(pollsIn(300), 0);
  polling.found();
  t.equal(pollsIn(59), 19);
  t.ok(pollsIn(60) <= 1);
  polling.setOlder(0);
  t.equal(pollsIn(30), 10, 'the older ones are gone');
  polling.stop();
  t.equal(pollsIn(30), 0);
});
