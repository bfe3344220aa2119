import fc from 'fast-check';
import t from 'tap';
import { plainArray, textArray } from '../../src/db/arrays.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';

t.test('Postgres reads back every array as it was written', async (t) => {
  const client = await connect(t, await createTestDatabase(t, { migrated: false }));
  const roundTrip = async (array: string, type: string) =>
    (await client.query(`select $1::${type}[] as back`, [array])).rows[0].back;
  const text = fc.oneof(
    fc.string({ unit: 'binary' }).map((value) => value.replaceAll('\0', '')),
    fc.constantFrom('', 'NULL', 'null', '{}', ',', '"', '\\', '\\"', ' a ', '{"a",b}', 'é\n\t'),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(text)), async (values) => {
      t.strictSame(await roundTrip(textArray(values), 'text'), values);
    }),
    { numRuns: 300 },
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.option(fc.integer())), async (values) => {
      t.strictSame(await roundTrip(plainArray(values), 'integer'), values);
    }),
  );
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uuid()), async (values) => {
      t.strictSame(await roundTrip(plainArray(values), 'uuid'), values);
    }),
  );
});
