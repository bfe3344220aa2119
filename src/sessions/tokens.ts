import { createHmac, randomBytes } from 'node:crypto';

/** Of tokens that a browser could have: other texts are not looked up. */
const TOKEN = /^[ak]_[\w-]{43}$/;

export interface Tokens {
  /**
   * Makes a token of 256 random bits.
   *
   * @param opener the id of the key that opens the session; null: the admin key, or none if none is required.
   */
  make(opener: number | null): string;
  /** Makes a further token for the session or link of a token. */
  successor(token: string): string;
  /** Returns the hash under which a token is stored, or null if the text is no token. */
  hash(token: string): Buffer | null;
}

/**
 * Makes the tokens of sessions, and the hashes that are stored in their place.
 *
 * The hash of a token that was made with the admin key depends on that key too. So a new admin key ends these sessions,
 * and a copy of the table does not help to guess the key.
 *
 * @param adminKey undefined: the API requires no key.
 */
export function createTokens(adminKey: string | undefined): Tokens {
  const random = () => randomBytes(32).toString('base64url');
  return {
    make: (opener) => `${opener === null ? 'a' : 'k'}_${random()}`,
    successor: (token) => `${token.slice(0, 2)}${random()}`,
    hash(token) {
      if (!TOKEN.test(token)) return null;
      return createHmac('sha256', token)
        .update(token.startsWith('a_') ? (adminKey ?? '') : '')
        .digest();
    },
  };
}
