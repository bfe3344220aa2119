import fc from 'fast-check';
import t from 'tap';
import { createHeap } from '../../src/lib/heap.ts';

t.test('the least item always comes first', async () => {
  const steps = fc.array(
    fc.oneof(
      { arbitrary: fc.integer({ min: 0, max: 20 }), weight: 3 },
      fc.constantFrom('pop', 'popLate', 'delete'),
    ),
    { maxLength: 400 },
  );
  fc.assert(
    fc.property(steps, (given) => {
      const heap = createHeap<{ n: number }>((a, b) => a.n < b.n);
      const model: { n: number }[] = [];
      for (const step of given) {
        model.sort((a, b) => a.n - b.n);
        if (step === 'pop') {
          if (heap.peek()?.n !== model[0]?.n) return false;
          const popped = heap.pop();
          if (popped?.n !== model[0]?.n) return false;
          if (popped !== undefined) model.splice(model.indexOf(popped), 1);
        } else if (step === 'popLate') {
          const popped = heap.popLate();
          if (popped === undefined ? model.length > 0 : !model.includes(popped)) return false;
          if (popped !== undefined) model.splice(model.indexOf(popped), 1);
        } else if (step === 'delete') {
          const [item] = model.splice(model.length >> 1, 1);
          if (item !== undefined) heap.delete(item);
        } else {
          const item = { n: step };
          heap.push(item);
          model.push(item);
        }
        if (heap.size !== model.length) return false;
      }
      return true;
    }),
  );
});
