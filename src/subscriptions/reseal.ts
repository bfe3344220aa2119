import type pg from 'pg';
import type { Sealer } from '../lib/sealing.ts';
import { placeOf, type SecretColumns } from './secrets.ts';

/** The number of secrets by how they are stored. */
export interface StoredSecrets {
  readonly plain: number;
  /** The number of secrets sealed with each key, by the key's id. */
  readonly sealed: ReadonlyMap<string, number>;
}

/** Counts the secrets of all subscriptions by how they are stored. It reads the whole table. */
export async function countSecrets(pool: pg.Pool): Promise<StoredSecrets> {
  const { rows } = await pool.query<{ key_id: string | null; number: number }>(`
    select case when starts_with(stored, 'sealed:v1:') then substr(stored, 11, 8) end as key_id,
      count(*)::integer as number
    from posthorn.subscriptions s
    cross join lateral (
      select s.secret as stored
      union all select s.verify_secret
      union all select retired ->> 'secret' from jsonb_array_elements(s.retired_secrets) as retired
        where s.retired_secrets is not null
    ) as secrets
    where s.deleted_at is null and stored is not null
    group by 1
    order by 1`);
  return {
    plain: rows.find((row) => row.key_id === null)?.number ?? 0,
    sealed: new Map(
      rows.flatMap(({ key_id, number }) => (key_id === null ? [] : [[key_id, number]])),
    ),
  };
}

/** The result of resealing, counted in subscriptions. */
interface Resealing {
  readonly resealed: number;
  /** Subscriptions with a secret that cannot be opened, and why. They were not changed. */
  readonly unreadable: readonly { readonly id: number; readonly reason: string }[];
}

/** Rows locked at once, for some milliseconds; a change to such a row waits that long. */
const BATCH = 200;

/**
 * Seals every secret with the first key, plain secrets too, and drops secrets whose overlap has ended. Each
 * batch is a transaction, so services may run meanwhile, and it may be interrupted and started again. Services
 * without the first key cannot read secrets that this has sealed.
 */
export async function resealSecrets(pool: pg.Pool, sealer: Sealer): Promise<Resealing> {
  let resealed = 0;
  const unreadable: { id: number; reason: string }[] = [];
  for (let after = 0; ; ) {
    const client = await pool.connect();
    let failed: unknown;
    try {
      await client.query('begin');
      const { rows } = await client.query<SecretColumns & { id: number; now: Date }>(
        `select id, secret, retired_secrets, verify_secret, now() as now
         from posthorn.subscriptions
         where id > $1 and deleted_at is null
           and (secret is not null or retired_secrets is not null or verify_secret is not null)
         order by id limit $2
         for update`,
        [after, BATCH],
      );
      for (const { id, now, ...stored } of rows) {
        const outcome = reseal(stored, id, now, sealer);
        if (outcome === null) continue;
        if (typeof outcome === 'string') {
          unreadable.push({ id, reason: outcome });
          continue;
        }
        await client.query(
          `update posthorn.subscriptions set secret = $2, retired_secrets = $3, verify_secret = $4
           where id = $1`,
          [
            id,
            outcome.secret,
            outcome.retired_secrets === null ? null : JSON.stringify(outcome.retired_secrets),
            outcome.verify_secret,
          ],
        );
        resealed += 1;
      }
      await client.query('commit');
      if (rows.length < BATCH) return { resealed, unreadable };
      after = (rows.at(-1) as { id: number }).id;
    } catch (error) {
      failed = error;
      throw error;
    } finally {
      client.release(failed !== undefined);
    }
  }
}

/** Returns the resealed columns, null if nothing changes, or why they cannot be read. */
function reseal(
  stored: SecretColumns,
  id: number,
  now: Date,
  sealer: Sealer,
): SecretColumns | string | null {
  const retired = (stored.retired_secrets ?? []).filter(({ until }) => Date.parse(until) > +now);
  const texts = [stored.secret, stored.verify_secret, ...retired.map(({ secret }) => secret)];
  const someEnded = retired.length < (stored.retired_secrets ?? []).length;
  if (!someEnded && texts.every((text) => text === null || sealer.isCurrent(text))) return null;
  const resealText = (text: string, column: keyof SecretColumns) => {
    const place = placeOf(id, column);
    // Opened even if it does not change, so that a damaged secret is found.
    const opened = sealer.open(text, place);
    return sealer.isCurrent(text) ? text : sealer.seal(opened, place);
  };
  try {
    return {
      secret: stored.secret && resealText(stored.secret, 'secret'),
      retired_secrets:
        retired.length === 0
          ? null
          : retired.map(({ secret, until }) => ({
              secret: resealText(secret, 'retired_secrets'),
              until,
            })),
      verify_secret: stored.verify_secret && resealText(stored.verify_secret, 'verify_secret'),
    };
  } catch (error) {
    return (error as Error).message;
  }
}

/** Returns the ids of missing keys, with the number of secrets that are sealed with each. */
export function missingKeys(
  { sealed }: StoredSecrets,
  keys: readonly { readonly id: string }[],
): ReadonlyMap<string, number> {
  const known = new Set(keys.map(({ id }) => id));
  return new Map([...sealed].filter(([id]) => !known.has(id)));
}
