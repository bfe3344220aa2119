import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { createTurns } from '../../src/lib/turns.ts';

t.test('an owner with a thousand waiting leaves a turn for another, at once', async (t) => {
  const turns = createTurns({ max: 4 });
  const greedy: (() => void)[] = [];
  for (let n = 0; n < 1_000; n++) void turns.take('greedy').then((end) => greedy.push(end));
  await tick();
  t.equal(greedy.length, 3);
  const end = await turns.take('modest');
  end();
  t.equal(greedy.length, 3, 'which stays free for the next one');
});

t.test('a turn ends once', async (t) => {
  const turns = createTurns({ max: 1 });
  const end = await turns.take('greedy');
  void turns.take('greedy');
  t.equal(turns.waiting('greedy'), 1);
  const modest = turns.take('modest');
  end();
  await tick();
  end();
  t.equal(turns.waiting('greedy'), 0);
  t.ok((await Promise.race([modest, tick('waits')])) === 'waits');
});

t.test('work that has begun goes on before waiting calls of its owner', async (t) => {
  const turns = createTurns({ max: 1 });
  const order: string[] = [];
  const ask = (name: string, turn: Promise<() => void>) =>
    turn.then((end) => {
      order.push(name);
      end();
    });
  const end = await turns.take('a');
  const asked = [
    ask('a 1', turns.take('a')),
    ask('a 2', turns.take('a')),
    ask('b', turns.take('b')),
    ask('a goes on', turns.takeNext('a')),
  ];
  end();
  await Promise.all(asked);
  t.ok(order.indexOf('a goes on') < order.indexOf('a 1'));
  t.ok(order.indexOf('a 1') < order.indexOf('a 2'));
  t.ok(
    order.indexOf('b') < order.indexOf('a 1'),
    'and an owner has its turn after each of another',
  );
});

t.test('turns are limited, and never idle while an owner may have one', async () => {
  const step = fc.record({
    ends: fc.boolean(),
    owner: fc.constantFrom('a', 'b', 'c', 'd'),
    which: fc.nat(),
    weight: fc.integer({ min: 1, max: 12 }),
  });
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 10 }),
      fc.array(step, { maxLength: 80 }),
      async (max, steps) => {
        const turns = createTurns({ max });
        const running: { owner: string; weight: number; end: () => void }[] = [];
        const waiting: { owner: string; weight: number }[] = [];
        for (const { ends, owner, which, weight } of steps) {
          if (ends && running.length > 0) running.splice(which % running.length, 1)[0]?.end();
          else {
            const asked = { owner, weight };
            waiting.push(asked);
            void turns.take(owner, weight).then((end) => {
              waiting.splice(waiting.indexOf(asked), 1);
              running.push({ ...asked, end });
            });
          }
          await tick();
          const used = running.reduce((sum, turn) => sum + turn.weight, 0);
          if (running.length > 1 && used > max) throw new Error('too many');
          if (running.length === 0 && waiting.length > 0) throw new Error('nobody has a turn');
          for (const first of waiting) {
            const isFirst = waiting.find((asked) => asked.owner === first.owner) === first;
            const hasTurn = running.some((turn) => turn.owner === first.owner);
            if (isFirst && !hasTurn && used + first.weight <= max)
              throw new Error('an owner without a turn waits while there is room for it');
          }
        }
      },
    ),
  );
});
