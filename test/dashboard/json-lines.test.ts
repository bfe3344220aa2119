import fc from 'fast-check';
import t from 'tap';
import { type JsonLines, layOutJson } from '../../src/dashboard/lib/json-lines.ts';

function textOf(laidOut: JsonLines | null): string {
  return (laidOut?.lines ?? [])
    .map(({ indent, tokens }) => '  '.repeat(indent) + tokens.map(({ text }) => text).join(''))
    .join('\n');
}

t.test('JSON is laid out as JSON.stringify does it', async (t) => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const laidOut = layOutJson(text, { maxIndent: 1_000, maxString: 100_000, maxLines: 100_000 });
      t.equal(laidOut?.cut, false);
      // The text of the values stays as it was sent, such as 1e3 and \u0041.
      t.strictSame(JSON.parse(textOf(laidOut)), JSON.parse(text));
      const usual = JSON.stringify(JSON.parse(text), null, 2);
      t.equal(textOf(laidOut).split('\n').length, usual.split('\n').length);
    }),
    { numRuns: 300 },
  );
  const text = '{"a":[1,{"b":[]}],"c":{}}';
  t.equal(textOf(layOutJson(text)), JSON.stringify(JSON.parse(text), null, 2));
});

t.test('numbers keep their digits, and fields that are there twice stay', async (t) => {
  t.equal(
    textOf(layOutJson('{"id":12345678901234567890.10,"id":1E400}')),
    '{\n  "id": 12345678901234567890.10,\n  "id": 1E400\n}',
  );
});

t.test('a text that is not JSON is not laid out', async (t) => {
  for (const text of ['', 'hello', '{', '[1,]', '{"a":1} x']) t.equal(layOutJson(text), null);
});

t.test('a million levels, a million elements and a long string take bounded lines', async (t) => {
  const MILLION = 1_000_000;
  for (const [what, text] of Object.entries({
    levels: '['.repeat(MILLION) + ']'.repeat(MILLION),
    elements: `[${'1,'.repeat(MILLION)}1]`,
    string: JSON.stringify('x'.repeat(MILLION)),
    digits: '1'.repeat(MILLION),
    pairs: `{${'"a":{"b":[]},'.repeat(100_000)}"z":0}`,
  })) {
    const laidOut = layOutJson(text);
    t.ok(laidOut !== null && laidOut.lines.length <= 2_000, what);
    t.ok(textOf(laidOut).length < 200_000, `${what}: ${textOf(laidOut).length} characters`);
  }
});
