import fc from 'fast-check';
import t from 'tap';
import { isolate } from '../../src/lib/isolate.ts';

t.test('items that work are done once, and items that fail are found', async (_t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.boolean(), { maxLength: 300 }), async (fails) => {
      const items = fails.map((bad, index) => ({ bad, index }));
      const done: number[] = [];
      const work = async (some: typeof items) => {
        if (some.some(({ bad }) => bad)) throw new Error('one of them is bad');
        done.push(...some.map(({ index }) => index));
      };
      const { errors, untried } = await isolate(items, work, () => true, 1_000);
      const good = items.filter(({ bad }) => !bad).map(({ index }) => index);
      return (
        untried.length === 0 &&
        JSON.stringify(done) === JSON.stringify(good) &&
        [...errors.keys()].every(({ bad }) => bad) &&
        errors.size === items.length - good.length
      );
    }),
  );
});

t.test('if all items fail it gives up early, and returns the untested items', async (t) => {
  let tries = 0;
  const items = Array.from({ length: 500 }, (_, index) => index);
  const { errors, untried } = await isolate(
    items,
    async () => {
      tries += 1;
      throw new Error('none of it works');
    },
    () => true,
  );
  t.equal(tries, 16);
  t.strictSame([...errors.keys(), ...untried], items);
});

t.test('an error that no item can cause is thrown at once', async (t) => {
  let tries = 0;
  const work = async () => {
    tries += 1;
    throw new Error('the database is away');
  };
  await t.rejects(
    isolate([1, 2, 3], work, () => false),
    /is away/,
  );
  t.equal(tries, 1);
  const refusing = isolate([1, 2, 3], work, async (_error, group) => {
    throw new Error(`and so are the sizes of ${group.length}`);
  });
  await t.rejects(refusing, /sizes of 3/);
  t.equal(tries, 2);
});
