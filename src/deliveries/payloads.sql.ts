import type pg from 'pg';
import { isOfRows } from '../db/availability.ts';
import { binaryRows } from '../db/driver.ts';
import { historyOf } from '../db/history-of-ids.ts';
import { idsWithBounds, isOneOf } from '../db/planner.ts';
import { errorMessage } from '../lib/errors.ts';
import { isolate } from '../lib/isolate.ts';

/** Bodies up to this size are loaded with their deliveries; larger ones one by one, when they can be sent. */
export const SMALL_BODY_BYTES = 64 * 1024;

/** The content type of nearly all bodies, which are UTF-8. */
const JSON_TYPE = 'application/json';

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
  /** Headers of its source that deliveries get, as names and values in turn; null: none. */
  readonly sourceHeaders: readonly string[] | null;
  readonly bytes: number;
  /** Null: larger than `SMALL_BODY_BYTES`, or `problem` says why. */
  readonly body: Buffer | null;
  /** The reason why the body cannot be sent. */
  readonly problem: string | null;
}

export const MISSING: Payload = {
  tenant: '',
  contentType: 'application/octet-stream',
  sourceHeaders: null,
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
  const loaded = new Map<string, Payload>();
  const read = (group: readonly string[]) => readPayloads(pool, group, loaded);
  const isOfBodies = async (error: unknown, group: readonly string[]) => {
    if (!isOfRows(error)) return false;
    // Sizes are read without the bodies: if they come, neither Postgres is slow nor is a table locked.
    await readSizes(pool, group);
    return true;
  };
  const first = await isolate(ids, read, isOfBodies, Number.POSITIVE_INFINITY);
  for (const id of first.errors.keys()) {
    const error = (await isolate([id], read, isOfBodies)).errors.get(id);
    if (error === undefined) continue;
    const bytes = (await readSizes(pool, [id])).get(id) ?? 0;
    loaded.set(id, { ...MISSING, bytes, problem: cannotBeRead(bytes, error) });
  }
  return loaded;
}

/**
 * Reads a body of any size.
 *
 * @returns null where there is none any more.
 */
export async function readBody(pool: pg.Pool, id: string): Promise<Buffer | null> {
  const days = historyOf([id]);
  const { rows } = await pool.query<[body: Buffer | null, hex: string | null]>(
    binaryRows({
      ...days.named('load-body'),
      text: `
        select case when length(body) > ${SMALL_BODY_BYTES} then body end,
          case when length(body) <= ${SMALL_BODY_BYTES} then encode(body, 'hex') end
        from posthorn.webhook_payloads where id = $1 and ${days.where('id')}`,
      values: [id],
    }),
  );
  const [body = null, hex = null] = rows[0] ?? [];
  return exact(body, hex);
}

/**
 * Returns a body byte for byte. node-postgres makes text of the values of small binary rows, which only UTF-8
 * survives, so small bodies that may have other bytes are read in hex.
 */
function exact(body: Buffer | null, hex: string | null): Buffer | null {
  return hex === null ? body : Buffer.from(hex, 'hex');
}

/**
 * The columns of a `PayloadRow`, for `binaryRows`. The length is in the row, also of a body that lies beside the table,
 * and is not read for it.
 */
export const PAYLOAD_COLUMNS = `p.id::text, p.tenant, p.content_type, p.headers::text, length(p.body)::text,
        case when length(p.body) <= ${SMALL_BODY_BYTES} and p.content_type = '${JSON_TYPE}' then p.body end,
        case when length(p.body) <= ${SMALL_BODY_BYTES} and p.content_type <> '${JSON_TYPE}' then encode(p.body, 'hex') end`;

export type PayloadRow = [
  id: string,
  tenant: string,
  contentType: string,
  headers: string | null,
  bytes: string | null,
  body: Buffer | null,
  hex: string | null,
];

/** Returns the payload of a row of `PAYLOAD_COLUMNS`. */
export function payloadOf([, tenant, contentType, headers, bytes, body, hex]: PayloadRow): Payload {
  return {
    tenant,
    contentType,
    sourceHeaders:
      headers === null
        ? null
        : Object.entries(JSON.parse(headers) as Record<string, string>).flat(),
    bytes: Number(bytes),
    body: exact(body, hex),
    problem: bytes === null ? ERASED : null,
  };
}

async function readPayloads(
  pool: pg.Pool,
  ids: readonly string[],
  into: Map<string, Payload>,
): Promise<void> {
  const days = historyOf(ids);
  const { rows } = await pool.query<PayloadRow>(
    binaryRows({
      ...days.named('load-payloads'),
      text: `
      select ${PAYLOAD_COLUMNS}
      from posthorn.webhook_payloads p
      where ${isOneOf('p.id', 1)} and ${days.where('p.id')}`,
      values: idsWithBounds(ids),
    }),
  );
  for (const row of rows) into.set(row[0], payloadOf(row));
}

/** Reads the sizes of bodies, without the bodies. */
export async function readSizes(
  pool: pg.Pool,
  ids: readonly string[],
): Promise<Map<string, number>> {
  const days = historyOf(ids);
  const { rows } = await pool.query<{ id: string; bytes: number | null }>({
    ...days.named('payload-sizes'),
    text: `
      select id::text, length(body) as bytes
      from posthorn.webhook_payloads
      where ${isOneOf('id', 1)} and ${days.where('id')}`,
    values: idsWithBounds(ids),
  });
  return new Map(rows.map(({ id, bytes }) => [id, bytes ?? 0]));
}

/** Describes the problem of a body that could not be read twice. */
export function cannotBeRead(bytes: number, error: unknown): string {
  return `its body of ${bytes} bytes could not be read from the database, twice (${errorMessage(error)})`;
}
