// What a filter may be: nothing that costs more than the data are large, nothing that raises an error.
import fc from 'fast-check';
import t from 'tap';
import { connect, createTestDatabase } from '../helpers/database.ts';

/** Every method of jsonpath, up to Postgres 18, with and without what it may be given. */
const METHODS = [
  'abs',
  'floor',
  'ceiling',
  'double',
  'number',
  'decimal',
  'bigint',
  'integer',
  'boolean',
  'string',
  'keyvalue',
  'datetime',
  'date',
  'time',
  'time_tz',
  'timestamp',
  'timestamp_tz',
  'lower',
  'upper',
  'initcap',
  'ltrim',
];

t.test('methods with unlimited cost or errors are refused anywhere in a filter', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  let known = 0;
  for (const method of METHODS) {
    for (const filter of [
      `$.a.${method}() == 1`,
      `$ ? (@.a.${method}() == 1)`,
      `1 == $.a.${method}()`,
      `exists($.a.${method}())`,
      `strict $[*].${method}().type() == "x"`,
      `$.a == "2026-01-01".${method}()`,
      `$ ? (exists(@.a ? (@.${method}() starts with "x")))`,
    ]) {
      let problem: string | null;
      try {
        const { rows } = await client.query('select posthorn.filter_problem($1::jsonpath) as p', [
          filter,
        ]);
        problem = rows[0].p;
        known += 1;
      } catch {
        // This version of Postgres does not have it.
        continue;
      }
      t.match(problem, new RegExp(`\\.${method}\\(\\)`), filter);
    }
  }
  t.ok(known > 40, `${known} were judged`);
  for (const filter of ['$.a.type() == "string"', '$.a.size() > 3', '$ ? (@.size() == 1)']) {
    const { rows } = await client.query('select posthorn.filter_problem($1::jsonpath) as p', [
      filter,
    ]);
    t.equal(rows[0].p, null, filter);
  }
});

const value = fc.constantFrom('1', '-1.5e10', '1e131071', '"a"', '"2026-07-01"', 'true', 'null');
const step = fc.constantFrom(
  '.a',
  '."b c"',
  '[*]',
  '[0]',
  '[last]',
  '[0 to last]',
  '[99999999999]',
  '.*',
  '.type()',
  '.size()',
);
const path = (root: string) =>
  fc.array(step, { maxLength: 4 }).map((steps) => [root, ...steps].join(''));
const comparison = (root: string) =>
  fc.oneof(
    fc
      .tuple(path(root), fc.constantFrom('==', '!=', '<', '>=', '<>'), value)
      .map((parts) => parts.join(' ')),
    path(root).map((found) => `exists(${found})`),
    path(root).map((found) => `${found} starts with "2"`),
  );
const predicate = (root: string) =>
  fc
    .tuple(comparison(root), comparison(root), fc.constantFrom('&&', '||', 'not', 'unknown'))
    .map(([left, right, how]) => {
      if (how === 'not') return `!(${left})`;
      if (how === 'unknown') return `((${left}) is unknown)`;
      return `(${left} ${how} ${right})`;
    });
const filter = fc
  .tuple(
    fc.constantFrom('', 'strict '),
    fc.oneof(
      predicate('$'),
      fc.tuple(path('$'), predicate('@')).map(([found, test]) => `${found} ? (${test})`),
    ),
  )
  .map((parts) => parts.join(''));

const json = fc.letrec((tie) => ({
  any: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom<unknown>(null, true, 0, -1, 1.5, '', 'a', '2026-07-01', '10:00:00+01'),
    fc.constantFrom('2026-07-01T10:00:00+02', '1e131071', '\u{10ffff}'),
    fc.array(tie('any'), { maxLength: 4 }),
    fc.dictionary(fc.constantFrom('a', 'b c', 'type', ''), tie('any'), { maxKeys: 3 }),
  ),
})).any;

t.test('an allowed filter raises no error on any data', async (t) => {
  const client = await connect(t, await createTestDatabase(t));
  let used = 0;
  await fc.assert(
    fc.asyncProperty(filter, fc.array(json, { minLength: 1, maxLength: 5 }), async (text, data) => {
      const { rows } = await client.query('select posthorn.filter_problem($1::jsonpath) as p', [
        text,
      ]);
      if (rows[0].p !== null) return;
      used += 1;
      const texts = data.map((one) => JSON.stringify(one).replaceAll('"1e131071"', '1e131071'));
      await client.query(
        `select jsonb_path_exists(d::jsonb, posthorn.filter_test($1::jsonpath), '{}', true)
         from unnest($2::text[]) as d`,
        [text, texts],
      );
    }),
    { numRuns: 300 },
  );
  t.ok(used > 100, `${used} filters were used`);
});
