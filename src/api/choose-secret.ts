import { generatePrivateKey } from '../signing/ed25519.ts';
import { secretWarning } from '../signing/secret-warning.ts';
import { generateSecret } from '../signing/sign.ts';
import { type SignatureScheme, schemeOf } from '../subscriptions/secrets.ts';
import { invalidField } from './problems.ts';

interface RequestedSecret {
  readonly secret: string | undefined;
  readonly generate: boolean;
  readonly scheme: SignatureScheme | undefined;
}

/**
 * Returns the secret that a request gives or asks for. `shown` is the secret for the answer: only a
 * secret that was generated here and that the receiver needs too.
 *
 * @throws Problem (400) when the fields of the request contradict each other.
 */
export function chooseSecret({ secret, generate, scheme }: RequestedSecret): {
  readonly secret: string | undefined;
  readonly shown: string | undefined;
} {
  if (secret === undefined) {
    if (scheme === 'ed25519') return { secret: generatePrivateKey(), shown: undefined };
    const generated = generate ? generateSecret() : undefined;
    return { secret: generated, shown: generated };
  }
  if (generate)
    throw invalidField(
      'body.generate_secret',
      'asks for a secret although body.secret is given; leave out either',
    );
  requireScheme(secret, scheme);
  return { secret, shown: undefined };
}

/** Returns the fields that tell a client about the secret that it has set: see `secretWarning`. */
export function warningOf(secret: string | null | undefined): { readonly warning?: string } {
  const warning = typeof secret === 'string' ? secretWarning(secret) : null;
  return warning === null ? {} : { warning };
}

/** @throws Problem (400) unless the secret is of the kind that the scheme signs with. */
export function requireScheme(secret: string, scheme: SignatureScheme | undefined): void {
  if (scheme === undefined || schemeOf(secret) === scheme) return;
  throw invalidField(
    'body.signature_scheme',
    scheme === 'ed25519'
      ? 'is ed25519, but body.secret is not a whsk_ private key; give such a key, or leave body.secret out to have one generated'
      : 'is hmac, but body.secret is a whsk_ private key; leave signature_scheme out, or give ed25519',
  );
}
