import fc from 'fast-check';
import t from 'tap';
import { createNumberSet } from '../../src/lib/number-set.ts';

t.test('it has exactly the numbers that were added, up to its limit', async () => {
  const number = fc.oneof(
    fc.integer({ min: -20, max: 20 }),
    fc.integer({ min: -(2 ** 52), max: 2 ** 52 }),
    // All at the same place.
    fc.integer({ min: -5, max: 5 }).map((n) => n * 2 ** 40),
  );
  fc.assert(
    fc.property(fc.array(number), fc.array(number), fc.nat(60), (put, asked, most) => {
      const set = createNumberSet(most);
      const model = new Set<number>();
      for (const value of put) {
        const fits = model.has(value) || model.size < most;
        if (set.add(value) !== fits) return false;
        if (fits) model.add(value);
      }
      return (
        set.size === model.size && [...put, ...asked].every((n) => set.has(n) === model.has(n))
      );
    }),
  );
});

t.test('it grows', async (t) => {
  const set = createNumberSet(100_000);
  for (let n = 0; n < 100_000; n++) set.add(n * 7_919);
  t.equal(set.size, 100_000);
  t.notOk(set.add(1), 'to its bound');
  const missing = Array.from({ length: 100_000 }, (_, n) => n).filter((n) => !set.has(n * 7_919));
  t.strictSame(missing, []);
});
