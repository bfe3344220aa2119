import { createHmac, createSecretKey, type KeyObject, timingSafeEqual } from 'node:crypto';
import { verifyHubSignature } from '../sign.ts';
import type { SharedKey } from '../signer.ts';
import { headerOf, type Verifier } from './verifier.ts';

export type Algorithm = 'sha256' | 'sha512' | 'sha1';
export type Encoding = 'hex' | 'base64';

/** A header that contains an HMAC of the body and nothing else. */
export interface HmacHeader {
  readonly header: string;
  readonly algorithm: Algorithm;
  readonly encoding: Encoding;
  /** The text before the signature, such as `sha256=`. */
  readonly prefix: string;
}

/** `X-Hub-Signature-256`, as GitHub has it. */
export const GITHUB: HmacHeader = {
  header: 'X-Hub-Signature-256',
  algorithm: 'sha256',
  encoding: 'hex',
  prefix: 'sha256=',
};

/** `X-Shopify-Hmac-Sha256`. */
export const SHOPIFY: HmacHeader = {
  header: 'X-Shopify-Hmac-Sha256',
  algorithm: 'sha256',
  encoding: 'base64',
  prefix: '',
};

/** Accepts requests with the HMAC of their body; the key is the characters of the secret. */
export function createHmacVerifier(
  { header, algorithm, encoding, prefix }: HmacHeader,
  secret: string,
): Verifier {
  const key = createSecretKey(secret, 'utf8');
  return {
    check(headers, body) {
      const given = headerOf(headers, header);
      if (given === null) return missing(header);
      const signature = given.startsWith(prefix)
        ? decodeSignature(given.slice(prefix.length), encoding)
        : null;
      const expected = hmac(key, algorithm, [body]);
      if (signature === null || signature.length !== expected.length) {
        const behind = prefix === '' ? '' : ` behind ${prefix}`;
        return `${header} is malformed; it must be ${expected.length} bytes in ${encoding}${behind}.`;
      }
      return timingSafeEqual(signature, expected) ? null : wrong(header);
    },
  };
}

/** Accepts requests with `X-Hub-Signature-256` by one of the subscription's secrets in effect. */
export function createHubVerifier(keys: readonly SharedKey[]): Verifier {
  return {
    check(headers, body, nowMs) {
      const header = headers['x-hub-signature-256'];
      if (typeof header !== 'string')
        return 'This subscription has a secret: sign the body and send X-Hub-Signature-256: sha256=<hex HMAC-SHA256>.';
      for (const { signing, untilMs } of keys) {
        if (nowMs < untilMs && verifyHubSignature(signing, body, header)) return null;
      }
      return /^sha256=[0-9a-f]{64}$/i.test(header)
        ? "X-Hub-Signature-256 is not this body's signature under the subscription's secret."
        : 'X-Hub-Signature-256 is malformed; it must be sha256= and 64 hex digits.';
    },
  };
}

/** Returns the HMAC of the parts, joined. */
export function hmac(
  key: KeyObject,
  algorithm: Algorithm,
  parts: readonly (string | Buffer)[],
): Buffer {
  const hash = createHmac(algorithm, key);
  for (const part of parts) hash.update(part);
  return hash.digest();
}

/** Returns a signature's bytes, or null if it is malformed. */
export function decodeSignature(text: string, encoding: Encoding): Buffer | null {
  const pattern = encoding === 'hex' ? /^(?:[0-9a-f]{2})+$/i : /^[A-Za-z0-9+/]+={0,2}$/;
  return pattern.test(text) ? Buffer.from(text, encoding) : null;
}

/** Returns true if one of these texts is the signature; each comparison takes constant time. */
export function anyIs(texts: readonly string[], encoding: Encoding, expected: Buffer): boolean {
  return texts.some((text) => {
    const signature = decodeSignature(text, encoding);
    return signature?.length === expected.length && timingSafeEqual(signature, expected);
  });
}

/** The sentence for a missing header. */
export function missing(header: string): string {
  return `${header} is missing: this subscription takes only what carries its sender's signature.`;
}

/** The sentence for a signature that does not match. */
export function wrong(header: string): string {
  return `${header} is not this body's signature under the secret that the subscription verifies with.`;
}
