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

/** Every retired secret signs every delivery, which makes `webhook-signature` longer. */
const MAX_RETIRED = 5;

interface RotationRequest {
  /** Null: a new secret is generated. */
  readonly secret: string | null;
  /** The scheme of a generated secret. Null: unchanged. */
  readonly scheme: SignatureScheme | null;
  /** For how long the replaced secret still signs. 0: it and all earlier secrets stop signing at once. */
  readonly overlapMs: number;
}

interface Rotation {
  /** The new secret. */
  readonly secret: string;
  readonly scheme: SignatureScheme;
  /** Until when the replaced secret still signs; null: it does not. */
  readonly previousUntil: Date | null;
}

/** The subscription already has the most secrets in their overlap. */
export class TooManySecretsError extends Error {
  override readonly name = 'TooManySecretsError';
}

/**
 * Replaces the secret of a subscription. The replaced secret still signs until the overlap ends; one that
 * cannot be opened is dropped.
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
      const earlier = (row?.retired_secrets ?? []).filter(({ until }) => Date.parse(until) > now);
      if (previous === null) return earlier;
      if (earlier.length === MAX_RETIRED) {
        const first = earlier.map((retiredSecret) => retiredSecret.until).sort()[0];
        throw new TooManySecretsError(
          `${MAX_RETIRED} earlier secrets still sign, the first of them until ${first}; wait until then, or give "0s", which ends all of them at once`,
        );
      }
      const sealed = sealer.seal(previous, placeOf(id, 'retired_secrets'));
      return [{ secret: sealed, until: until.toISOString() }, ...earlier];
    }
  });
}

/** The public keys of a subscription that signs with Ed25519. */
interface PublicKeys {
  readonly current: string | null;
  readonly previous: readonly { readonly publicKey: string; readonly until: Date }[];
}

/**
 * Returns the public keys that a subscription's receiver should accept now.
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
      .filter(({ secret, untilMs }) => untilMs > row.now.getTime() && asymmetric(secret))
      .map(({ secret, untilMs }) => ({
        publicKey: readPrivateKey(secret).publicKey,
        until: new Date(untilMs),
      })),
  };
}

function readable(stored: string | null, id: number, sealer: Sealer): string | null {
  if (stored === null) return null;
  try {
    return sealer.open(stored, placeOf(id, 'secret'));
  } catch (error) {
    // If the encryption key was lost, a new secret must still be possible.
    if (error instanceof SealError) return null;
    throw error;
  }
}
