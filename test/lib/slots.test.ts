import fc from 'fast-check';
import t from 'tap';
import { createSlots } from '../../src/lib/slots.ts';

t.test('as many run as there are places, in the order in which they came', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 4 }),
      fc.array(fc.boolean(), { maxLength: 60 }),
      async (max, steps) => {
        const slots = createSlots(max);
        const granted: number[] = [];
        let asked = 0;
        let released = 0;
        for (const asks of steps) {
          if (asks) {
            const id = asked++;
            void slots.acquire().then(() => granted.push(id));
          } else if (released < granted.length) {
            released += 1;
            slots.release();
          }
          await Promise.resolve();
          await Promise.resolve();
          if (granted.length !== Math.min(asked, released + max)) return false;
        }
        return granted.every((id, index) => id === index);
      },
    ),
    { numRuns: 500 },
  );
});
