import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { createTurns, TooManyTurnsError } from '../../src/lib/turns.ts';

t.test('an owner with a thousand waiting leaves a turn for another, at once', async (t) => {
  const turns = createTurns({ max: 4, maxWaiting: 1_000 });
  const greedy: (() => void)[] = [];
  for (let n = 0; n < 1_000; n++) void turns.take('greedy').then((end) => greedy.push(end));
  await tick();
  t.equal(greedy.length, 3);
  const end = await turns.take('modest');
  end();
  t.equal(greedy.length, 3, 'which stays free for the next one');
});

t.test('an owner above its limit is refused, and others are not', async (t) => {
  const turns = createTurns({ max: 1, maxWaiting: 1 });
  const end = await turns.take('greedy');
  void turns.take('greedy');
  await t.rejects(turns.take('greedy'), TooManyTurnsError);
  const modest = turns.take('modest');
  end();
  await tick();
  end();
  t.ok((await Promise.race([modest, tick('waits')])) === 'waits', 'a turn ends once');
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
