import { setImmediate as tick } from 'node:timers/promises';
import fc from 'fast-check';
import t from 'tap';
import { createTurns, TooManyTurnsError } from '../../src/lib/turns.ts';

t.test('an owner with a thousand waiting leaves a turn for another, at once', async (t) => {
  const turns = createTurns({ concurrency: 4, perOwner: 3, maxWaiting: 1_000 });
  const greedy: (() => void)[] = [];
  for (let n = 0; n < 1_000; n++) void turns.take('greedy').then((end) => greedy.push(end));
  await tick();
  t.equal(greedy.length, 3);
  const end = await turns.take('modest');
  end();
  t.equal(greedy.length, 3, 'which stays free for the next one');
});

t.test('past its bound an owner is refused, and others are not', async (t) => {
  const turns = createTurns({ concurrency: 1, perOwner: 1, maxWaiting: 1 });
  const end = await turns.take('greedy');
  void turns.take('greedy');
  await t.rejects(turns.take('greedy'), TooManyTurnsError);
  const modest = turns.take('modest');
  end();
  await tick();
  end();
  t.ok((await Promise.race([modest, tick('waits')])) === 'waits', 'a turn ends once');
});

t.test(
  'whoever asks, turns are bounded, fair, and never idle while somebody may have one',
  async () => {
    const OWNERS = ['a', 'b', 'c', 'd'];
    const step = fc.record({
      ends: fc.boolean(),
      owner: fc.constantFrom(...OWNERS),
      which: fc.nat(),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 3 }),
        fc.array(step, { maxLength: 80 }),
        async (concurrency, perOwner, steps) => {
          const turns = createTurns({ concurrency, perOwner, maxWaiting: 1_000 });
          const running: { owner: string; end: () => void }[] = [];
          const waiting: string[] = [];
          const of = (list: string[], owner: string) =>
            list.filter((name) => name === owner).length;
          for (const { ends, owner, which } of steps) {
            if (ends && running.length > 0) running.splice(which % running.length, 1)[0]?.end();
            else {
              waiting.push(owner);
              void turns.take(owner).then((end) => {
                waiting.splice(waiting.indexOf(owner), 1);
                running.push({ owner, end });
              });
            }
            await tick();
            const owners = running.map((turn) => turn.owner);
            if (running.length > concurrency) throw new Error('too many');
            for (const name of OWNERS) {
              if (of(owners, name) > perOwner) throw new Error('too many of one owner');
              const idle = running.length < concurrency && of(owners, name) < perOwner;
              if (idle && of(waiting, name) > 0) throw new Error('idle while somebody waits');
            }
          }
        },
      ),
    );
  },
);
