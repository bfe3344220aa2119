import fc from 'fast-check';
import t from 'tap';
import { nearest } from '../../src/lib/nearest-name.ts';

const colours = ['red', 'green', 'blue', 'yellow', 'purple'] as const;

t.test('the nearest word is found for typical mistakes', async (t) => {
  const cases: [text: string, meant: string | undefined][] = [
    ['green', 'green'],
    ['GREEN', 'green'],
    ['gren', 'green'],
    ['greeen', 'green'],
    ['grean', 'green'],
    ['yelow', 'yellow'],
    ['purpel', 'purple'],
    ['rde', undefined],
    ['brown', undefined],
    ['', undefined],
    ['x', undefined],
    ['something else', undefined],
  ];
  for (const [text, meant] of cases) t.equal(nearest(text, colours), meant, text);
  t.equal(nearest('green', []), undefined);
});

const word = fc.stringMatching(/^[a-z]{1,12}$/);
const words = fc.array(word, { maxLength: 10 });

t.test('a listed word finds itself, and every result is a listed word', async () => {
  fc.assert(
    fc.property(words, word, (candidates, text) => {
      const found = nearest(text, candidates);
      return candidates.includes(text)
        ? found === text
        : found === undefined || candidates.includes(found);
    }),
  );
});

t.test('one mistake in a word of four letters or more is corrected', async () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z]{4,12}$/),
      fc.nat(),
      fc.constantFrom('leave out', 'double', 'change'),
      (candidate, position, slip) => {
        const at = position % candidate.length;
        const [before, letter, after] = [
          candidate.slice(0, at),
          candidate[at] as string,
          candidate.slice(at + 1),
        ];
        const slipped = { 'leave out': '', double: letter + letter, change: '_' }[slip];
        return nearest(`${before}${slipped}${after}`, [candidate]) === candidate;
      },
    ),
  );
});

t.test('words without a letter in common are not suggested', async () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-m]{1,12}$/),
      fc.array(fc.stringMatching(/^[n-z]{1,12}$/)),
      (text, candidates) => nearest(text, candidates) === undefined,
    ),
  );
});
