import t from 'tap';
import { createLoopHealth } from '../../src/lib/loop-health.ts';
import { collectLog } from '../helpers/log.ts';
import { until } from '../helpers/until.ts';

const away = new Error('connect ECONNREFUSED');

function create() {
  const { log, lines } = collectLog();
  return { lines, health: createLoopHealth({ log, isOutage: (error) => error === away }) };
}

t.test(
  'one failure may be chance; the second in a row is reported, until the loop works again',
  async (t) => {
    const { lines, health } = create();
    const loop = health.watch('sweep', 'sweeping');
    t.strictSame(health.loops, [{ name: 'sweep', failing: false, failures: 0 }]);
    loop.failed(new Error('chance'));
    loop.succeeded();
    loop.failed(new Error('first'));
    t.equal(health.reason(), null);
    t.equal(lines.length, 0);
    loop.failed(Object.assign(new Error('no such table as "secret"'), { code: '42P01' }));
    t.match(
      health.reason(),
      /^Background work fails: sweeping \(sweep\) since \d{4}-[^ ]+, error 42P01\. The log says why\.$/,
    );
    t.strictSame(health.loops, [{ name: 'sweep', failing: true, failures: 3 }]);
    for (let n = 0; n < 50; n++) loop.failed(new Error('again'));
    t.equal(lines.length, 1, 'one warning a minute');
    t.match(lines[0], { level: 40, loop: 'sweep', reason: 'no such table as "secret"' });
    loop.succeeded();
    t.equal(health.reason(), null);
    t.match(lines[1], { level: 30, loop: 'sweep', msg: 'sweeping works again' });
  },
);

t.test('while the database is away there is one line for all loops', async (t) => {
  const { lines, health } = create();
  const loops = ['a', 'b', 'c'].map((name) => health.watch(name, `doing ${name}`));
  for (let n = 0; n < 20; n++) for (const loop of loops) loop.failed(away);
  t.equal(lines.length, 1);
  t.match(lines[0], { level: 40, msg: /cannot be used/, reason: away.message });
  t.match(health.reason(), /doing a \(a\) .*; doing b \(b\) .*; doing c \(c\)/);
  for (const loop of loops) loop.succeeded();
  t.equal(lines.length, 2);
  t.match(lines[1], { level: 30, msg: /no longer waits/ });
});

t.test('a failing loop waits longer each time, and never long', async (t) => {
  const { health } = create();
  const loop = health.watch('sweep', 'sweeping');
  const pauses = Array.from({ length: 8 }, () => loop.failed(new Error('no')));
  t.equal(pauses[0], 1_000);
  t.strictSame(
    pauses,
    pauses.toSorted((a, b) => a - b),
  );
  t.equal(pauses.at(-1), 15_000);
});

t.test('a loop that is given no work any more does not count as failing for ever', async (t) => {
  const { lines, health } = create();
  const loop = health.watch('load', 'loading', 50);
  loop.failed(new Error('no'));
  loop.failed(new Error('no'));
  t.not(health.reason(), null);
  await until('it is forgotten', () => health.reason() === null);
  t.match(lines.at(-1), { loop: 'load', msg: 'loading has not failed since' });
});

t.test('two loops of one name would hide each other', async (t) => {
  const { health } = create();
  health.watch('load', 'loading');
  t.throws(() => health.watch('load', 'loading'), /already watched/);
});
