import t from 'tap';
import { collectWhenIdle } from '../../src/app/idle-collection.ts';
import { until } from '../helpers/until.ts';

const IDLE_MS = 120_000;

/** Takes CPU time, however busy the machine is. */
function work(ms: number): void {
  const before = process.cpuUsage();
  for (;;) {
    const { user, system } = process.cpuUsage(before);
    if (user + system > ms * 1000) return;
  }
}

t.test('each time that a process has become idle, garbage is collected once', async (t) => {
  let collections = 0;
  collectWhenIdle(() => {
    collections += 1;
  });
  await until('it was collected after the start', () => collections > 0, IDLE_MS);
  t.equal(collections, 1);
  work(1_000);
  await until('it was collected after the work', () => collections > 1, IDLE_MS);
  t.equal(collections, 2);
});

t.test('what is collected is what nobody uses any more, however old it is', async (t) => {
  let used: object | undefined = { since: 'the start' };
  const seen = new WeakRef(used);
  makeOld();
  used = undefined;
  collectWhenIdle();
  await until('it is gone', () => seen.deref() === undefined, IDLE_MS);
  t.equal(used, undefined);
});

/** Makes V8 take everything that is in use for old. It collects old things only when the heap has grown. */
function makeOld(): void {
  for (let n = 0; n < 400_000; n++) JSON.parse('{"some":["garbage"]}');
}
