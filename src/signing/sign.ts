import { createHmac, type Hmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { errorMessage } from '../lib/errors.ts';
import { isSealed } from '../lib/sealing.ts';
import { isPrivateKey, readPrivateKey } from './ed25519.ts';

/**
 * A subscription's secret, as the keys of the two kinds of signature. It prints as functions, never as the
 * secret.
 *
 * Two `KeyObject`s would save a tenth of an HMAC's time, but take 2 KB for each subscription, mostly outside of
 * V8's heap: 36 MiB for 20,000.
 */
export interface SigningKey {
  /** Standard Webhooks: the key is the decoded bytes of a `whsec_` secret, or the bytes of the text. */
  standard(): Hmac;
  /** `X-Hub-Signature-256`: the key is always the bytes of the text, as for GitHub and WebSub. */
  hub(): Hmac;
}

/** The prefix of secrets of Standard Webhooks; base64 follows. */
export const WHSEC = 'whsec_';
/** The most characters of a key that is given as text. */
const IN_BASE64 = { encoding: 'base64' } as const;
/** With or without padding. A length that no bytes encode to means that the secret lost a character. */
const BASE64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}(?:==)?|[A-Za-z0-9+/]{3}=?)?$/;

/**
 * Reads a secret into signing keys.
 *
 * @throws Error for what `judgeSharedSecret` refuses.
 */
export function createSigningKey(secret: string): SigningKey {
  const problem = judgeSharedSecret(secret);
  if (problem !== null) throw new Error(`The secret cannot be used: ${problem}`);
  const hub = () => createHmac('sha256', secret);
  if (!secret.startsWith(WHSEC)) return { hub, standard: hub };
  const encoded = secret.slice(WHSEC.length);
  return { hub, standard: () => createHmac('sha256', encoded, IN_BASE64) };
}

/**
 * Returns why a secret cannot be used, or null. A `whsec_` secret must contain 24 to 64 bytes
 * (Standard Webhooks 1.0.0, "Signature scheme"), a `whsk_` one an Ed25519 private key; any other text
 * is taken as it is.
 */
export function judgeSecret(secret: string): string | null {
  if (!isPrivateKey(secret)) return judgeSharedSecret(secret);
  try {
    readPrivateKey(secret);
    return null;
  } catch (error) {
    return errorMessage(error);
  }
}

/** Returns why a secret cannot be used for an HMAC, or null: as `judgeSecret`, but refuses private keys. */
export function judgeSharedSecret(secret: string): string | null {
  if (secret === '') return 'it is empty; leave it out for a subscription without a signature';
  if (isPrivateKey(secret)) return 'whsk_ is a private key, and an HMAC needs a shared secret';
  // In the table it would look like a secret that Posthorn has encrypted.
  if (isSealed(secret)) return 'it begins with sealed:, as what Posthorn has encrypted does';
  if (!secret.startsWith(WHSEC)) return null;
  const encoded = secret.slice(WHSEC.length);
  if (encoded === '' || !BASE64.test(encoded)) return 'what follows whsec_ is not base64';
  const { length } = Buffer.from(encoded, 'base64');
  if (length < 24 || length > 64) {
    return `what follows whsec_ is ${length} bytes in base64; Standard Webhooks asks for 24 to 64`;
  }
  return null;
}

/**
 * The `webhook-signature` header of one attempt: `v1,` and the base64 HMAC-SHA256 of
 * `{id}.{timestamp}.{body}` (Standard Webhooks 1.0.0, "Signature scheme").
 *
 * @param timestamp whole seconds since the epoch, of this attempt.
 */
export function standardSignature(
  key: SigningKey,
  webhookId: string,
  timestamp: number,
  body: Buffer,
): string {
  const digest = key.standard().update(`${webhookId}.${timestamp}.`).update(body).digest('base64');
  return `v1,${digest}`;
}

/** Generates a secret: `whsec_` and 32 random bytes in base64. */
export function generateSecret(): string {
  return WHSEC + randomBytes(32).toString('base64');
}

/** The `X-Hub-Signature-256` header: `sha256=` and the hex HMAC-SHA256 of the body. */
export function hubSignature(key: SigningKey, body: Buffer): string {
  return `sha256=${key.hub().update(body).digest('hex')}`;
}

/**
 * Returns true if an `X-Hub-Signature-256` header is right for the body, compared in constant time. Hex digits
 * may be in either case.
 */
export function verifyHubSignature(key: SigningKey, body: Buffer, header: string): boolean {
  if (!/^sha256=[0-9a-f]{64}$/i.test(header)) return false;
  const expected = key.hub().update(body).digest();
  return timingSafeEqual(expected, Buffer.from(header.slice('sha256='.length), 'hex'));
}
