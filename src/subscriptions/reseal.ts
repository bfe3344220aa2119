import type pg from 'pg';
import type { Sealer } from '../lib/sealing.ts';
import { placeOf, type SecretColumns } from './secrets.ts';

/** How secrets are stored. */
export interface StoredSecrets {
  readonly plain: number;
  /** How many are sealed under a key, by its id. */
  readonly sealed: ReadonlyMap<string, number>;
}

/** Counts the secrets of all subscriptions by how they are stored. It reads the whole table. */
export async function countSecrets(pool: pg.Pool): Promise<StoredSecrets> {
  const { rows } = await pool.query<{ key_id: string | null; number: number }>(`
    select substring(stored from '^sealed:v1:([0-9a-f]{8}):') as key_id, count(*)::integer as number
    from posthorn.subscriptions s
    cross join lateral (
      select s.secret as stored
      union all select s.verify_secret
      union all select one ->> 'secret' from jsonb_array_elements(s.retired_secrets) as one
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

/** What resealing came to, in subscriptions. */
export interface Resealing {
  readonly resealed: number;
  /** Those with a secret that cannot be opened, and why. They were left as they are. */
  readonly unreadable: readonly { readonly id: number; readonly reason: string }[];
}

/** So many rows are locked at once, for some milliseconds: a change of one of them waits that long. */
const BATCH = 200;

/**
 * Seals every secret under the first key, those too that are plain, and drops what has ended its
 * overlap. A transaction a batch, so services may run meanwhile, and it may be broken off and begun
 * again. Those that do not have the first key yet cannot read what this has sealed.
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

/** The columns anew, null when they are right as they are, or why they cannot be read. */
function reseal(
  stored: SecretColumns,
  id: number,
  now: Date,
  sealer: Sealer,
): SecretColumns | string | null {
  const retired = (stored.retired_secrets ?? []).filter((one) => Date.parse(one.until) > +now);
  const texts = [stored.secret, stored.verify_secret, ...retired.map((one) => one.secret)];
  const ended = retired.length < (stored.retired_secrets ?? []).length;
  if (!ended && texts.every((text) => text === null || sealer.isCurrent(text))) return null;
  const again = (text: string, column: keyof SecretColumns) => {
    const place = placeOf(id, column);
    // Opened even where it stays, so that one that is damaged is found.
    const opened = sealer.open(text, place);
    return sealer.isCurrent(text) ? text : sealer.seal(opened, place);
  };
  try {
    return {
      secret: stored.secret && again(stored.secret, 'secret'),
      retired_secrets:
        retired.length === 0
          ? null
          : retired.map((one) => ({ ...one, secret: again(one.secret, 'retired_secrets') })),
      verify_secret: stored.verify_secret && again(stored.verify_secret, 'verify_secret'),
    };
  } catch (error) {
    return (error as Error).message;
  }
}

/** The ids of keys that secrets are sealed under and the sealer does not have, with how many there are. */
export function missingKeys(
  { sealed }: StoredSecrets,
  keys: readonly { readonly id: string }[],
): ReadonlyMap<string, number> {
  const known = new Set(keys.map(({ id }) => id));
  return new Map([...sealed].filter(([id]) => !known.has(id)));
}
