import type { Sealer } from '../lib/sealing.ts';
import { isPrivateKey } from '../signing/ed25519.ts';
import type { RetiredSecret } from '../signing/signer.ts';
import type { Verification } from '../signing/verify/schemes.ts';

/** The way in which deliveries are signed: with a secret that both sides have, or with a private key. */
export type SignatureScheme = 'hmac' | 'ed25519';

/** The columns of a subscription that hold secrets, each text plain or sealed. */
export interface SecretColumns {
  readonly secret: string | null;
  readonly retired_secrets: readonly StoredRetiredSecret[] | null;
  readonly verify_secret: string | null;
}

export interface StoredRetiredSecret {
  readonly secret: string;
  /** ISO 8601. */
  readonly until: string;
}

/** The columns of a subscription that hold secrets. */
const SECRET_COLUMNS = ['secret', 'retired_secrets', 'verify_secret'] as const;
type SecretColumn = (typeof SECRET_COLUMNS)[number];

/**
 * Names the place of a secret. A sealed secret is bound to its table, subscription and column, so a user who
 * can write to the table cannot use one subscription's secret for another.
 */
export function placeOf(id: number, column: SecretColumn): string {
  return `posthorn.subscriptions/${id}/${column}`;
}

/** Returns the signature scheme that a secret is for. */
export function schemeOf(secret: string | null): SignatureScheme {
  return secret !== null && isPrivateKey(secret) ? 'ed25519' : 'hmac';
}

/** The secrets in a request. */
export interface GivenSecrets {
  secret?: string | null | undefined;
  verify?: (Verification & { readonly secret: string }) | null | undefined;
}

/**
 * Turns given secrets into columns. A secret that is set replaces all earlier secrets: retired secrets do not
 * sign any more.
 */
export function secretColumns({ secret, verify }: GivenSecrets, id: number, sealer: Sealer) {
  const seal = (text: string | null, column: SecretColumn) =>
    text === null ? null : sealer.seal(text, placeOf(id, column));
  return {
    ...(secret === undefined
      ? {}
      : {
          secret: seal(secret, 'secret'),
          signature_scheme: schemeOf(secret),
          retired_secrets: null,
        }),
    ...(verify === undefined ? {} : verifyColumns(verify, (text) => seal(text, 'verify_secret'))),
  };
}

function verifyColumns(
  verify: (Verification & { readonly secret: string }) | null,
  seal: (text: string) => string | null,
) {
  if (verify === null) return { verify: null, verify_secret: null };
  const { secret, ...verification } = verify;
  return { verify: verification, verify_secret: seal(secret) };
}

/** A secret that cannot be opened: its key is missing, or it was changed. */
export class UnreadableSecretError extends Error {
  override readonly name = 'UnreadableSecretError';
}

/** A subscription's secrets, opened. */
interface OpenSecrets {
  readonly secret: string | null;
  readonly retired: readonly RetiredSecret[];
  readonly verifySecret: string | null;
}

/**
 * Opens the secrets in the columns.
 *
 * @throws UnreadableSecretError naming the secret that cannot be opened and why, never its text.
 */
export function openSecrets(columns: SecretColumns, id: number, sealer: Sealer): OpenSecrets {
  const open = (stored: string, column: SecretColumn, name: string) => {
    try {
      return sealer.open(stored, placeOf(id, column));
    } catch (error) {
      throw new UnreadableSecretError(`${name} cannot be read: ${(error as Error).message}`, {
        cause: error,
      });
    }
  };
  const { secret, retired_secrets, verify_secret } = columns;
  return {
    secret: secret === null ? null : open(secret, 'secret', 'its secret'),
    retired: (retired_secrets ?? []).map(({ secret, until }) => ({
      secret: open(secret, 'retired_secrets', 'an earlier secret'),
      untilMs: Date.parse(until),
    })),
    verifySecret:
      verify_secret === null
        ? null
        : open(verify_secret, 'verify_secret', 'the secret that it verifies with'),
  };
}
