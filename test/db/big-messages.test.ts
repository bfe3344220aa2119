import { randomBytes } from 'node:crypto';
import fc from 'fast-check';
import type pg from 'pg';
import t from 'tap';
import { createAssembler, oneAfterAnother } from '../../src/db/big-messages.ts';
import { createPool } from '../../src/db/pool.ts';
import { createTestDatabase } from '../helpers/database.ts';

const BIG = 64 * 1024;

t.test('messages arrive in order however they are cut, and big ones as a whole', async (t) => {
  const lengths = fc.array(
    fc.oneof(fc.integer({ min: 5, max: 300 }), fc.integer({ min: BIG - 3, max: 3 * BIG })),
    { maxLength: 8 },
  );
  // Most cuts are like a socket's; some leave a head in two parts.
  const cuts = fc.array(
    fc.oneof(fc.integer({ min: 1, max: 6 }), fc.integer({ min: 1, max: BIG })),
    {
      minLength: 1,
      maxLength: 20,
    },
  );
  await fc.assert(
    fc.property(lengths, cuts, (messageLengths, chunkLengths) => {
      const messages = messageLengths.map((length) => {
        const message = randomBytes(length);
        message.writeInt32BE(length - 1, 1);
        return message;
      });
      const sent = Buffer.concat(messages);
      const given: Buffer[] = [];
      const take = createAssembler((bytes, isBig) => {
        given.push(Buffer.from(bytes));
        if (isBig)
          t.ok(
            messages.some((message) => message.equals(bytes)),
            'whole, and nothing else',
          );
      });
      for (let at = 0, turn = 0; at < sent.length; turn++) {
        const length = chunkLengths[turn % chunkLengths.length] as number;
        // As a socket's: a buffer of its own, which may be gone once it was taken.
        take(Buffer.from(sent.subarray(at, at + length)));
        at += length;
      }
      t.ok(Buffer.concat(given).equals(sent));
    }),
    { numRuns: 200 },
  );
});

t.test('values of any size go to Postgres and back unchanged', async (t) => {
  const pool = createPool({
    connectionString: await createTestDatabase(t, { migrated: false }),
    purpose: 'test',
    max: 2,
  });
  t.teardown(() => pool.end());
  // Both by a name, which is prepared once and then used again, and without one.
  const roundTrip = async (pieces: Buffer[], name?: string) => {
    const { rows } = await pool.query<[Buffer, string | null, Buffer | null]>({
      ...(name === undefined ? {} : { name }),
      text: 'select $1::bytea, $2::text, case when $3 then $1::bytea end',
      values: [oneAfterAnother(pieces), 'é', pieces.length > 1],
      rowMode: 'array',
      binary: true,
    } as pg.QueryArrayConfig);
    return rows[0];
  };
  const bytes = fc
    .tuple(
      fc.oneof(fc.integer({ min: 0, max: 99 }), fc.integer({ min: 0, max: 3 * BIG })),
      fc.nat(),
    )
    .map(([length, seed]) => Buffer.alloc(length, `${seed} é😀`.slice(0, 8)))
    .map((value) => Buffer.from(value.toString('utf8').replaceAll('\ufffd', '?')));
  await fc.assert(
    fc.asyncProperty(
      fc.array(bytes, { minLength: 1, maxLength: 5 }),
      fc.boolean(),
      async (pieces, named) => {
        const whole = Buffer.concat(pieces);
        const row = await roundTrip(pieces, named ? 'round-trip' : undefined);
        t.ok(row?.[0].equals(whole), `${whole.length} bytes in ${pieces.length} pieces`);
        t.equal(row?.[1], 'é');
        if (pieces.length > 1) t.ok(row?.[2]?.equals(whole));
        else t.equal(row?.[2], null);
      },
    ),
    { numRuns: 100 },
  );
});

t.test('a big text arrives unchanged', async (t) => {
  const pool = createPool({
    connectionString: await createTestDatabase(t, { migrated: false }),
    purpose: 'test',
    max: 1,
  });
  t.teardown(() => pool.end());
  const { rows } = await pool.query(`select repeat('é', 100000) as long, 1 as n, null as nothing`);
  t.strictSame(rows, [{ long: 'é'.repeat(100_000), n: 1, nothing: null }]);
});

t.test('many statements at once on one connection keep their own answers', async (t) => {
  const pool = createPool({
    connectionString: await createTestDatabase(t, { migrated: false }),
    purpose: 'test',
    max: 1,
  });
  t.teardown(() => pool.end());
  const bodies = [10, 3 * BIG, 20, BIG, 2 * BIG + 1].map((length) => Buffer.alloc(length, 'x'));
  const answers = await Promise.all(
    bodies.map((body) =>
      pool.query('select length($1::bytea) as bytes, $1::bytea as body', [oneAfterAnother([body])]),
    ),
  );
  answers.forEach(({ rows }, index) => {
    t.equal(rows[0].bytes, bodies[index]?.length);
    t.ok(rows[0].body.equals(bodies[index]));
  });
});
