import type pg from 'pg';
import { bounds, plainArray } from '../db/arrays.ts';
import { isUnavailable } from '../db/availability.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';

/** Bodies up to this size are loaded with their deliveries; larger ones one by one, when they can be sent. */
export const SMALL_BODY_BYTES = 64 * 1024;

/** A larger body is not loaded, unless the settings allow larger ones. */
const LARGEST_BYTES = 32 * 1024 * 1024;
/** The size of the envelope around the data that the settings bound. */
const ENVELOPE_BYTES = 1024;

/** Returns the largest body that is loaded at all, with `POSTHORN_MAX_BODY` as given. */
export function maxLoadedBytes(maxBodyBytes: number): number {
  return Math.max(LARGEST_BYTES, maxBodyBytes + ENVELOPE_BYTES);
}

/** The payload of a webhook, with its body if that is loaded. */
export interface Payload {
  readonly tenant: string;
  readonly contentType: string;
  readonly bytes: number;
  /** Null: larger than `SMALL_BODY_BYTES`, or `problem` says why. */
  readonly body: Buffer | null;
  /** The reason why the body cannot be sent. */
  readonly problem: string | null;
}

export const MISSING: Payload = {
  tenant: '',
  contentType: 'application/octet-stream',
  bytes: 0,
  body: null,
  problem: 'its payload is not in the database',
};
const ERASED = 'its body was erased, as its retention was over';

/**
 * Loads payloads, the bodies of the small ones among them.
 *
 * A statement that fails because of the rows it reads is divided, down to the payload that it fails for.
 * That payload is tried once more, and then has a `problem`; the others are loaded as usual.
 *
 * @throws when the database cannot be used, or does not give the sizes of these bodies either.
 */
export async function loadPayloads(
  pool: pg.Pool,
  ids: readonly string[],
): Promise<Map<string, Payload>> {
  try {
    return await readPayloads(pool, ids);
  } catch (error) {
    if (!mayBeOfTheRows(error)) throw error;
    const [id] = ids as [string];
    if (ids.length === 1) return new Map([[id, await readAgain(pool, id)]]);
    // Sizes are read without the bodies: if they come, neither Postgres is slow nor is a table locked.
    await readSizes(pool, ids);
    const middle = Math.ceil(ids.length / 2);
    const first = await loadPayloads(pool, ids.slice(0, middle));
    return new Map([...first, ...(await loadPayloads(pool, ids.slice(middle)))]);
  }
}

async function readAgain(pool: pg.Pool, id: string): Promise<Payload> {
  await readSizes(pool, [id]);
  try {
    return (await readPayloads(pool, [id])).get(id) ?? MISSING;
  } catch (error) {
    if (!mayBeOfTheRows(error)) throw error;
    const bytes = (await readSizes(pool, [id])).get(id) ?? 0;
    return { ...MISSING, bytes, problem: cannotBeRead(bytes, error) };
  }
}

/**
 * Reads a body of any size.
 *
 * @returns null where there is none any more.
 */
export async function readBody(pool: pg.Pool, id: string): Promise<Buffer | null> {
  const { rows } = await pool.query<[body: Buffer | null]>({
    name: 'load-body',
    rowMode: 'array',
    text: 'select body from posthorn.webhook_payloads where id = $1',
    values: [id],
    binary: true,
  } as pg.QueryArrayConfig);
  return rows[0]?.[0] ?? null;
}

async function readPayloads(pool: pg.Pool, ids: readonly string[]): Promise<Map<string, Payload>> {
  const { rows } = await pool.query<
    [id: string, tenant: string, contentType: string, bytes: string | null, body: Buffer | null]
  >({
    name: 'load-payloads',
    rowMode: 'array',
    // The length is in the row, also of a body that lies beside the table, and is not read for it.
    text: `
      select id::text, tenant, content_type, length(body)::text,
        case when length(body) <= ${SMALL_BODY_BYTES} then body end
      from posthorn.webhook_payloads
      where id = any($1::uuid[]) and id between $2 and $3`,
    values: [plainArray(ids), ...bounds(ids)],
    binary: true,
  } as pg.QueryArrayConfig);
  return new Map(
    rows.map(([id, tenant, contentType, bytes, body]) => [
      id,
      { tenant, contentType, bytes: Number(bytes), body, problem: bytes === null ? ERASED : null },
    ]),
  );
}

/** Reads the sizes of bodies, without the bodies. */
export async function readSizes(
  pool: pg.Pool,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const { rows } = await pool.query<{ id: string; bytes: number | null }>({
    name: 'payload-sizes',
    text: `
      select id::text, length(body) as bytes
      from posthorn.webhook_payloads
      where id = any($1::uuid[]) and id between $2 and $3`,
    values: [plainArray(ids), ...bounds(ids)],
  });
  return new Map(rows.map(({ id, bytes }) => [id, bytes ?? 0]));
}

/** Codes that one row may cause: statement timeout, out of memory, file that cannot be read. */
const MAY_BE_ONE_ROW = ['57014', '53200', '58030'];

/**
 * Returns whether a statement may have failed because of the rows that it read, rather than because of the
 * database or of the statement itself (class 42: no such column, no right to read it).
 */
export function mayBeOfTheRows(error: unknown): boolean {
  const code = errorCode(error) ?? '';
  if (!/^[0-9A-Z]{5}$/.test(code) || code.startsWith('42')) return false;
  return MAY_BE_ONE_ROW.includes(code) || !isUnavailable(error);
}

/** Describes the problem of a body that could not be read twice. */
export function cannotBeRead(bytes: number, error: unknown): string {
  return `its body of ${bytes} bytes could not be read from the database, twice (${errorMessage(error)})`;
}
