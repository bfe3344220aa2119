import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createSecretKey,
  type KeyObject,
  randomBytes,
} from 'node:crypto';

/** A key that texts are sealed with. It prints as an object, never as its bytes. */
export interface SealingKey {
  /** The first eight hex digits of the key's SHA-256, which are stored with every sealed text. */
  readonly id: string;
  readonly key: KeyObject;
}

/** Seals texts for the database, and opens them again. */
export interface Sealer {
  /** False if there is no key: texts are then stored in plain. */
  readonly seals: boolean;
  /**
   * Seals a text with the first key.
   *
   * @param place the place where it will be stored, such as `posthorn.subscriptions/7/secret`. The sealed text
   *   is bound to it: copied to another place, it does not open.
   */
  seal(text: string, place: string): string;
  /**
   * Opens a stored text. A plain text is returned as it is.
   *
   * @throws SealError saying why it cannot be opened, never its text.
   */
  open(stored: string, place: string): string;
  /** Returns true if the text is stored as `seal` would store it now. */
  isCurrent(stored: string): boolean;
}

/** A stored text that cannot be opened. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

const PREFIX = 'sealed:';
const STORED = /^sealed:v1:([0-9a-f]{8}):([A-Za-z0-9_-]+)$/;
const ALGORITHM = 'aes-256-gcm';
const KEY_BYTES = 32;
/** 96 bits, the size that GCM is made for. Random nonces are safe for 2^32 texts with one key. */
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

/**
 * Seals with the first of the keys, and opens with all of them (AES-256-GCM). The stored form is
 * `sealed:v1:<key id>:<nonce, ciphertext and tag in base64url>`. With no keys, texts stay as they are.
 */
export function createSealer(keys: readonly SealingKey[]): Sealer {
  const [first] = keys;
  const byId = new Map(keys.map(({ id, key }) => [id, key]));
  return {
    seals: first !== undefined,
    seal(text, place) {
      if (first === undefined) return text;
      const nonce = randomBytes(NONCE_BYTES);
      const cipher = createCipheriv(ALGORITHM, first.key, nonce, { authTagLength: TAG_BYTES });
      cipher.setAAD(Buffer.from(place));
      const sealed = Buffer.concat([
        nonce,
        cipher.update(text, 'utf8'),
        cipher.final(),
        cipher.getAuthTag(),
      ]);
      return `${PREFIX}v1:${first.id}:${sealed.toString('base64url')}`;
    },
    open(stored, place) {
      if (!isSealed(stored)) return stored;
      const [, id = '', encoded = ''] = STORED.exec(stored) ?? [];
      const sealed = Buffer.from(encoded, 'base64url');
      if (sealed.length < NONCE_BYTES + TAG_BYTES)
        throw new SealError('its encrypted form is damaged');
      const key = byId.get(id);
      if (key === undefined) {
        throw new SealError(
          `it is encrypted with the key ${id}, which POSTHORN_ENCRYPTION_KEY does not contain`,
        );
      }
      const decipher = createDecipheriv(ALGORITHM, key, sealed.subarray(0, NONCE_BYTES), {
        authTagLength: TAG_BYTES,
      });
      decipher.setAAD(Buffer.from(place));
      decipher.setAuthTag(sealed.subarray(-TAG_BYTES));
      try {
        return Buffer.concat([
          decipher.update(sealed.subarray(NONCE_BYTES, -TAG_BYTES)),
          decipher.final(),
        ]).toString('utf8');
      } catch (error) {
        throw new SealError(
          `it does not decrypt with its key ${id}: it was changed, or copied from another row`,
          { cause: error },
        );
      }
    },
    isCurrent(stored) {
      return first === undefined
        ? !isSealed(stored)
        : stored.startsWith(`${PREFIX}v1:${first.id}:`);
    },
  };
}

/** Returns true if a stored text is sealed, or looks so. */
export function isSealed(stored: string): boolean {
  return stored.startsWith(PREFIX);
}

const HEX = /^[0-9a-f]{64}$/i;
const BASE64 = /^[A-Za-z0-9+/_-]{43}=?$/;

/**
 * Reads keys of 32 bytes each, in base64 or hex, with commas between them. The first key seals.
 *
 * @throws Error that says what is wrong; it never contains a key.
 */
export function parseSealingKeys(text: string): readonly SealingKey[] {
  const keys = text.split(',').map((part, index) => {
    const encoded = part.trim();
    const bytes = HEX.test(encoded)
      ? Buffer.from(encoded, 'hex')
      : BASE64.test(encoded)
        ? Buffer.from(encoded, 'base64')
        : Buffer.alloc(0);
    if (bytes.length !== KEY_BYTES) {
      throw new Error(
        `key ${index + 1} is not ${KEY_BYTES} bytes in base64 or hex; make a key with: openssl rand -base64 ${KEY_BYTES}`,
      );
    }
    const id = createHash('sha256').update(bytes).digest('hex').slice(0, 8);
    return { id, key: createSecretKey(bytes) };
  });
  const ids = keys.map(({ id }) => id);
  if (new Set(ids).size < ids.length) throw new Error('the same key is given twice');
  return keys;
}
