import { errorMessage } from '../../lib/errors.ts';
import { TOKEN } from '../../lib/http-syntax.ts';
import { isSealed } from '../../lib/sealing.ts';
import { isPublicKey, readPublicKey } from '../ed25519.ts';
import { judgeSharedSecret } from '../sign.ts';
import {
  type Algorithm,
  createHmacVerifier,
  type Encoding,
  GITHUB,
  type HmacHeader,
  SHOPIFY,
} from './hmac.ts';
import {
  createSlackVerifier,
  createStandardVerifier,
  createStripeVerifier,
} from './timestamped.ts';
import type { Verifier } from './verifier.ts';

export const VERIFY_SCHEMES = [
  'github',
  'stripe',
  'shopify',
  'slack',
  'standard-webhooks',
  'hmac',
] as const;
export type VerifyScheme = (typeof VERIFY_SCHEMES)[number];

/** The way in which a source signs the webhooks that it sends to /ingest, without its secret. */
export interface Verification {
  readonly scheme: VerifyScheme;
  /** Only for `hmac`, as are the following. */
  readonly header?: string;
  readonly algorithm?: Algorithm;
  readonly encoding?: Encoding;
  readonly prefix?: string;
}

const HMAC_FIELDS = ['header', 'algorithm', 'encoding', 'prefix'] as const;

/** Returns the field of a verification that is wrong, and why; null if it can be used. */
export function judgeVerification(
  given: Verification & { readonly secret: string },
): { readonly field: string; readonly problem: string } | null {
  const { scheme, secret, header, prefix } = given;
  const problem = judgeVerifySecret(scheme, secret);
  if (problem !== null) return { field: 'secret', problem };
  if (scheme !== 'hmac') {
    const field = HMAC_FIELDS.find((name) => given[name] !== undefined);
    if (field === undefined) return null;
    return { field, problem: `is for the scheme hmac; ${scheme} has its own` };
  }
  if (header === undefined)
    return { field: 'header', problem: 'is missing: name the header that has the signature' };
  if (!TOKEN.test(header))
    return { field: 'header', problem: 'is not a header name; use letters, digits and -' };
  if (prefix !== undefined && !/^[!-~]*$/.test(prefix))
    return { field: 'prefix', problem: 'may have only ASCII characters that can be seen' };
  return null;
}

function judgeVerifySecret(scheme: VerifyScheme, secret: string): string | null {
  if (secret === '') return 'is empty';
  if (isSealed(secret)) return 'begins with sealed:, as what Posthorn has encrypted does';
  if (scheme !== 'standard-webhooks') return null;
  if (isPublicKey(secret)) {
    try {
      readPublicKey(secret);
      return null;
    } catch (error) {
      return `cannot be used: ${errorMessage(error)}`;
    }
  }
  if (!secret.startsWith('whsec_'))
    return 'must begin with whsec_, or with whpk_ for a sender that signs by Ed25519';
  const problem = judgeSharedSecret(secret);
  return problem === null ? null : `cannot be used: ${problem}`;
}

/**
 * Creates the verifier for a source.
 *
 * @throws Error for what `judgeVerification` refuses.
 */
export function createVerifier(verification: Verification, secret: string): Verifier {
  const wrong = judgeVerification({ ...verification, secret });
  if (wrong !== null) throw new Error(`verify.${wrong.field} ${wrong.problem}`);
  switch (verification.scheme) {
    case 'github':
      return createHmacVerifier(GITHUB, secret);
    case 'shopify':
      return createHmacVerifier(SHOPIFY, secret);
    case 'stripe':
      return createStripeVerifier(secret);
    case 'slack':
      return createSlackVerifier(secret);
    case 'standard-webhooks':
      return createStandardVerifier(secret);
    case 'hmac':
      return createHmacVerifier(hmacHeaderOf(verification), secret);
  }
}

function hmacHeaderOf({
  header = '',
  algorithm = 'sha256',
  encoding = 'hex',
  prefix = '',
}: Verification): HmacHeader {
  return { header, algorithm, encoding, prefix };
}
