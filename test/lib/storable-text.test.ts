import t from 'tap';
import { storableText } from '../../src/lib/storable-text.ts';

t.test('any text becomes a text of limited length that Postgres can store', async (t) => {
  const cases: [text: string, stored: string][] = [
    ['plain', 'plain'],
    ['a\0b', 'ab'],
    ['lone \ud800', 'lone \ufffd'],
    ['0123456789abc', '012345678…'],
    ['012345678\ud83d\ude00', '012345678…'],
    ['12345678\ud83d\ude00 and more', '12345678\ufffd…'],
  ];
  for (const [text, stored] of cases) t.equal(storableText(text, 10), stored);
});
