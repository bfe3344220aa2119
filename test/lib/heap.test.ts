import fc from 'fast-check';
import t from 'tap';
import { createHeap } from '../../src/lib/heap.ts';

t.test('whatever is put in and taken out, the least comes first', async () => {
  const steps = fc.array(fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constant('pop' as const)));
  fc.assert(
    fc.property(steps, (given) => {
      const heap = createHeap<number>((a, b) => a < b);
      const model: number[] = [];
      for (const step of given) {
        if (step === 'pop') {
          model.sort((a, b) => a - b);
          if (heap.peek() !== model[0] || heap.pop() !== model.shift()) return false;
        } else {
          heap.push(step);
          model.push(step);
        }
        if (heap.size !== model.length) return false;
      }
      return true;
    }),
  );
});
