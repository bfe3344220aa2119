import { sql } from 'kysely';
import type { Database } from '../db/types.ts';
import { SealError, type Sealer } from '../lib/sealing.ts';
import { generatePrivateKey, readPrivateKey } from '../signing/ed25519.ts';
import { generateSecret } from '../signing/sign.ts';
import {
  openSecrets,
  placeOf,
  type SignatureScheme,
  type StoredRetiredSecret,
  schemeOf,
} from './secrets.ts';

/** Each signs every delivery, and `webhook-signature` gets longer by each. */
const MAX_RETIRED = 5;

export interface RotationRequest {
  /** Null: a new one is made. */
  readonly secret: string | null;
  /** Of the one that is made. Null: what it was. */
  readonly scheme: SignatureScheme | null;
  /** For how long the secret that is replaced still signs. 0: it ends at once, and so do those before it. */
  readonly overlapMs: number;
}

export interface Rotation {
  /** The new secret, as it signs from now on. */
  readonly secret: string;
  readonly scheme: SignatureScheme;
  /** Until when the secret that was replaced still signs; null when it does not. */
  readonly previousUntil: Date | null;
}

/** There are as many secrets in their overlap as there may be. */
export class TooManySecretsError extends Error {
  override readonly name = 'TooManySecretsError';
}

/**
 * Gives a subscription another secret; the one before it signs too until the overlap ends. One that
 * cannot be opened any more is dropped.
 *
 * @returns undefined when the tenant has no subscription of that id.
 * @throws TooManySecretsError
 */
export async function rotateSecret(
  db: Database,
  sealer: Sealer,
  tenant: string,
  id: number,
  request: RotationRequest,
): Promise<Rotation | undefined> {
  return await db.transaction().execute(async (transaction) => {
    const row = await transaction
      .selectFrom('posthorn.subscriptions')
      .select(['secret', 'retired_secrets', 'signature_scheme', sql<Date>`now()`.as('now')])
      .where('id', '=', id)
      .where('tenant', '=', tenant)
      .where('deleted_at', 'is', null)
      .forUpdate()
      .executeTakeFirst();
    if (row === undefined) return undefined;
    const scheme = request.scheme ?? row.signature_scheme;
    const secret =
      request.secret ?? (scheme === 'ed25519' ? generatePrivateKey() : generateSecret());
    const now = row.now.getTime();
    const previousUntil = new Date(now + request.overlapMs);
    const previous = request.overlapMs === 0 ? null : readable(row.secret, id, sealer);
    const retired = retire(previous, previousUntil);
    await transaction
      .updateTable('posthorn.subscriptions')
      .set({
        secret: sealer.seal(secret, placeOf(id, 'secret')),
        signature_scheme: schemeOf(secret),
        retired_secrets: retired.length === 0 ? null : JSON.stringify(retired),
        updated_at: sql`now()`,
      })
      .where('id', '=', id)
      .execute();
    return {
      secret,
      scheme: schemeOf(secret),
      previousUntil: previous === null ? null : previousUntil,
    };

    function retire(previous: string | null, until: Date): StoredRetiredSecret[] {
      if (request.overlapMs === 0) return [];
      const earlier = (row?.retired_secrets ?? []).filter((one) => Date.parse(one.until) > now);
      if (previous === null) return earlier;
      if (earlier.length === MAX_RETIRED) {
        const first = earlier.map((one) => one.until).sort()[0];
        throw new TooManySecretsError(
          `${MAX_RETIRED} earlier secrets still sign, the first of them until ${first}; wait for that, or give "0s", which ends them all at once`,
        );
      }
      const sealed = sealer.seal(previous, placeOf(id, 'retired_secrets'));
      return [{ secret: sealed, until: until.toISOString() }, ...earlier];
    }
  });
}

/** Public keys of a subscription that signs by Ed25519. */
export interface PublicKeys {
  readonly current: string | null;
  readonly previous: readonly { readonly publicKey: string; readonly until: Date }[];
}

/**
 * The public keys that a subscription's receiver should take now.
 *
 * @returns undefined when the tenant has no subscription of that id.
 * @throws UnreadableSecretError
 */
export async function publicKeysOf(
  db: Database,
  sealer: Sealer,
  tenant: string,
  id: number,
): Promise<PublicKeys | undefined> {
  const row = await db
    .selectFrom('posthorn.subscriptions')
    .select(['secret', 'retired_secrets', sql<Date>`now()`.as('now')])
    .where('id', '=', id)
    .where('tenant', '=', tenant)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return undefined;
  const { secret, retired } = openSecrets({ ...row, verify_secret: null }, id, sealer);
  const asymmetric = (text: string) => schemeOf(text) === 'ed25519';
  return {
    current: secret !== null && asymmetric(secret) ? readPrivateKey(secret).publicKey : null,
    previous: retired
      .filter((one) => one.untilMs > row.now.getTime() && asymmetric(one.secret))
      .map((one) => ({
        publicKey: readPrivateKey(one.secret).publicKey,
        until: new Date(one.untilMs),
      })),
  };
}

function readable(stored: string | null, id: number, sealer: Sealer): string | null {
  if (stored === null) return null;
  try {
    return sealer.open(stored, placeOf(id, 'secret'));
  } catch (error) {
    // A new secret is the way out of a key that was lost.
    if (error instanceof SealError) return null;
    throw error;
  }
}
