import { generatePrivateKey } from '../signing/ed25519.ts';
import { generateSecret } from '../signing/sign.ts';
import { type SignatureScheme, schemeOf } from '../subscriptions/secrets.ts';
import { invalidField } from './problems.ts';

interface Wish {
  readonly secret: string | undefined;
  readonly generate: boolean;
  readonly scheme: SignatureScheme | undefined;
}

/**
 * The secret that a request gives or asks for, and, when it was made here and both ends need it, what
 * the answer shows of it.
 *
 * @throws Problem (400) where the parts of the wish contradict each other.
 */
export function chooseSecret({ secret, generate, scheme }: Wish): {
  readonly secret: string | undefined;
  readonly shown: string | undefined;
} {
  if (secret === undefined) {
    if (scheme === 'ed25519') return { secret: generatePrivateKey(), shown: undefined };
    const made = generate ? generateSecret() : undefined;
    return { secret: made, shown: made };
  }
  if (generate)
    throw invalidField('body.generate_secret', 'asks for a secret although one is given');
  requireScheme(secret, scheme);
  return { secret, shown: undefined };
}

/** @throws Problem (400) unless the secret is of the kind that the scheme signs with. */
export function requireScheme(secret: string, scheme: SignatureScheme | undefined): void {
  if (scheme === undefined || schemeOf(secret) === scheme) return;
  throw invalidField(
    'body.signature_scheme',
    scheme === 'ed25519'
      ? 'is ed25519, and the secret is no whsk_ private key; leave the secret out to have one made'
      : 'is hmac, and the secret is a whsk_ private key; leave signature_scheme out, or give ed25519',
  );
}
