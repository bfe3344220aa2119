import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';

/** A parsed private key. */
export interface PrivateKey {
  readonly key: KeyObject;
  /** The public key for receivers: `whpk_` and its 32 bytes in base64. */
  readonly publicKey: string;
}

const PRIVATE = 'whsk_';
const PUBLIC = 'whpk_';
const BYTES = 32;
/** The DER prefixes before the 32 bytes of a key (RFC 8410 sections 4 and 7). */
const PKCS8 = Buffer.from('302e020100300506032b657004220420', 'hex');
const SPKI = Buffer.from('302a300506032b6570032100', 'hex');
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** Returns true if a secret is written as a private key. */
export function isPrivateKey(secret: string): boolean {
  return secret.startsWith(PRIVATE);
}

/** Returns true if a text is written as a public key. */
export function isPublicKey(text: string): boolean {
  return text.startsWith(PUBLIC);
}

/** Generates a private key: `whsk_` and, in base64, its seed and its public key, as in libsodium. */
export function generatePrivateKey(): string {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  const seed = privateKey.export({ format: 'der', type: 'pkcs8' }).subarray(-BYTES);
  return PRIVATE + Buffer.concat([seed, rawPublic(publicKey)]).toString('base64');
}

/**
 * Reads `whsk_` and base64: 32 bytes of seed, or these and the 32 of the public key.
 *
 * @throws Error that says what is wrong; it never contains the key.
 */
export function readPrivateKey(secret: string): PrivateKey {
  const bytes = decode(secret.slice(PRIVATE.length));
  if (bytes === null) throw new Error('what follows whsk_ is not base64');
  if (bytes.length !== BYTES && bytes.length !== 2 * BYTES) {
    throw new Error(
      `what follows whsk_ is ${bytes.length} bytes in base64; an Ed25519 private key has 32, or 64 with its public key`,
    );
  }
  const key = createPrivateKey({
    key: Buffer.concat([PKCS8, bytes.subarray(0, BYTES)]),
    format: 'der',
    type: 'pkcs8',
  });
  const publicBytes = rawPublic(createPublicKey(key));
  if (bytes.length === 2 * BYTES && !publicBytes.equals(bytes.subarray(BYTES)))
    throw new Error('the second half of what follows whsk_ is not the public key of the first');
  return { key, publicKey: PUBLIC + publicBytes.toString('base64') };
}

/**
 * Reads `whpk_` and 32 bytes in base64.
 *
 * @throws Error that says what is wrong.
 */
export function readPublicKey(text: string): KeyObject {
  const bytes = decode(text.slice(PUBLIC.length));
  if (bytes?.length !== BYTES)
    throw new Error(
      'what follows whpk_ is not 32 bytes in base64, which an Ed25519 public key has',
    );
  return createPublicKey({ key: Buffer.concat([SPKI, bytes]), format: 'der', type: 'spki' });
}

/** Returns the signature of these bytes: 64 bytes. */
export function signBytes(key: KeyObject, content: Buffer): Buffer {
  return sign(null, content, key);
}

/** Returns true if the signature is that of these bytes. */
export function isSignatureOf(key: KeyObject, content: Buffer, signature: Buffer): boolean {
  return verify(null, content, key, signature);
}

function rawPublic(key: KeyObject): Buffer {
  return key.export({ format: 'der', type: 'spki' }).subarray(-BYTES);
}

function decode(encoded: string): Buffer | null {
  return BASE64.test(encoded) ? Buffer.from(encoded, 'base64') : null;
}
