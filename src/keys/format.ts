import { hash, randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const ENVIRONMENTS = ['live', 'test'] as const;
/** A label in the key, for people. Posthorn treats both alike. */
export type Environment = (typeof ENVIRONMENTS)[number];

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
/** 178 bits. */
const RANDOM_LENGTH = 30;
/** Six digits of base 62 hold 32 bits. */
const CHECKSUM_LENGTH = 6;
const HINT_LENGTH = 4;

const KEY = new RegExp(
  `^(ph_(?:${ENVIRONMENTS.join('|')})_[0-9A-Za-z]{${RANDOM_LENGTH}})([0-9A-Za-z]{${CHECKSUM_LENGTH}})$`,
);

/**
 * Generates a key: `ph_live_`, 30 random letters and digits, and six that encode the CRC-32 of the characters
 * before. So scanners for leaked secrets find keys with few false alarms, and a mistyped key is distinguished from
 * an unknown key without a query.
 */
export function generateKey(environment: Environment): string {
  const start = `ph_${environment}_${randomDigits(RANDOM_LENGTH)}`;
  return start + checksum(start);
}

/** Returns random letters and digits, evenly distributed. */
export function randomDigits(length: number): string {
  return Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]).join('');
}

/** Returns true if a text begins like a key; it may be mistyped. */
export function looksLikeKey(text: string): boolean {
  return /^ph_(live|test)_/.test(text);
}

/** Returns true if a text has the form of a key and the right checksum. */
export function isKey(text: string): boolean {
  const [, start = '', sum] = KEY.exec(text) ?? [];
  return sum !== undefined && checksum(start) === sum;
}

/** Returns the start of a key: enough to recognize it, far too little to guess it. */
export function keyHint(key: string): string {
  return key.slice(0, key.lastIndexOf('_') + 1 + HINT_LENGTH);
}

function checksum(text: string): string {
  let rest = crc32(text);
  let digits = '';
  for (let place = 0; place < CHECKSUM_LENGTH; place++) {
    digits = DIGITS[rest % DIGITS.length] + digits;
    rest = Math.floor(rest / DIGITS.length);
  }
  return digits;
}

/** Returns the hash that is stored for a key and looked up for each request. */
export function hashKey(key: string): Buffer {
  return hash('sha256', key, 'buffer');
}
