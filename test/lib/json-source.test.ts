import fc from 'fast-check';
import t from 'tap';
import { elementSources, memberSources } from '../../src/lib/json-source.ts';

t.test('a member is found as it was written', async (t) => {
  const cases: [text: string, members: Record<string, string>][] = [
    ['{}', {}],
    [' { } ', {}],
    ['{"a":1}', { a: '1' }],
    ['{ "a" : 1.0e+2 , "b":-0}', { a: '1.0e+2', b: '-0' }],
    ['{"n":12345678901234567890.10}', { n: '12345678901234567890.10' }],
    ['{"s":"}\\"]\\\\"}', { s: '"}\\"]\\\\"' }],
    ['{"o":{"o":{"}":"{"}} ,"l":[[ ],[1,[2]]]}', { o: '{"o":{"}":"{"}}', l: '[[ ],[1,[2]]]' }],
    ['{"d\\u0061ta":null}', { data: 'null' }],
    ['{"a":1,"a":\n2\t}', { a: '2' }],
    ['{"":true}', { '': 'true' }],
  ];
  for (const [text, members] of cases)
    t.strictSame(Object.fromEntries(memberSources(text)), members, text);
});

t.test('elements are found as they were written', async (t) => {
  t.strictSame(elementSources('[ ]'), []);
  t.strictSame(elementSources(' [1 , "]" ,{"a":[1,2]},[ ] ]'), ['1', '"]"', '{"a":[1,2]}', '[ ]']);
});

t.test('the parts of any JSON, parsed, are the parsed whole', async (t) => {
  const indent = fc.constantFrom(undefined, 1, '\t');
  fc.assert(
    fc.property(fc.dictionary(fc.string(), fc.jsonValue()), indent, (value, space) => {
      const text = JSON.stringify(value, null, space);
      const parsed = [...memberSources(text)].map(([name, source]) => [name, JSON.parse(source)]);
      t.strictSame(Object.fromEntries(parsed), JSON.parse(text));
    }),
  );
  fc.assert(
    fc.property(fc.array(fc.jsonValue()), indent, (value, space) => {
      const text = JSON.stringify(value, null, space);
      t.strictSame(
        elementSources(text).map((source) => JSON.parse(source)),
        JSON.parse(text),
      );
    }),
  );
});
