import type pg from 'pg';
import t from 'tap';
import { loadPayloads } from '../../src/deliveries/payloads.sql.ts';

const BODY = Buffer.from('{}');
const IDS = ['a', 'b', 'c', 'd', 'e'].map((name) => `01a21526-e400-7000-8000-00000000000${name}`);
const B = IDS[1] as string;

const failure = (code: string | undefined, message = 'refused by a test') =>
  Object.assign(new Error(message), code === undefined ? {} : { code });

/** A database that fails at statements which read the body of `B` (or its size). */
function createPool(body: Error, size?: Error) {
  let bodies = 0;
  const query = async ({ text, values }: { text: string; values: unknown[] }) => {
    const ofSizes = text.includes('length(body) as bytes');
    const ids = String(values[0]).slice(1, -1).split(',');
    const error = ofSizes ? size : body;
    if (error !== undefined && ids.includes(B)) throw error;
    if (ofSizes) return { rows: ids.map((id) => ({ id, bytes: 2 })) };
    bodies += ids.length;
    return { rows: ids.map((id) => [id, 'default', 'application/json', null, '2', BODY, null]) };
  };
  return { pool: { query } as unknown as pg.Pool, bodies: () => bodies };
}

t.test('a body that Postgres cannot read has a problem, and the others are read', async (t) => {
  for (const error of [
    failure('XX001'),
    failure('57014'),
    failure('53200'),
    failure('58030'),
    failure(undefined, 'Query read timeout'),
  ]) {
    const { pool, bodies } = createPool(error);
    const loaded = await loadPayloads(pool, IDS);
    t.strictSame(
      [...loaded].filter(([, { problem }]) => problem !== null).map(([id]) => id),
      [B],
      error.message,
    );
    t.match(loaded.get(B), { body: null, bytes: 2, problem: /of 2 bytes .*twice/ });
    t.equal(loaded.size, IDS.length);
    t.equal(bodies(), IDS.length - 1, 'each was read once');
  }
});

t.test('no body is given up for an error that it cannot cause', async (t) => {
  for (const error of [
    failure('42501'),
    failure('42703'),
    failure('57P01'),
    failure('08006'),
    failure('ECONNREFUSED'),
    failure(undefined, 'Connection terminated unexpectedly'),
    new RangeError('Array buffer allocation failed'),
  ])
    await t.rejects(loadPayloads(createPool(error).pool, IDS), error, error.message);
});

t.test('no body is given up while the database does not give its size either', async (t) => {
  const { pool } = createPool(failure('57014'), failure('57014', 'not the size either'));
  await t.rejects(loadPayloads(pool, IDS), /not the size either/);
});
