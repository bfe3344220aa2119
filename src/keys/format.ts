import { randomInt } from 'node:crypto';
import { crc32 } from 'node:zlib';

export const ENVIRONMENTS = ['live', 'test'] as const;
/** What a key is for. It is in the key, so that people see it; Posthorn treats both alike. */
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
 * A new key: `ph_live_`, 30 random letters and digits, and six that are the CRC-32 of all before
 * them. So a scanner for leaked secrets finds keys with hardly a false alarm, and a mistyped key is
 * told from an unknown one without asking anybody.
 */
export function generateKey(environment: Environment): string {
  const start = `ph_${environment}_${randomDigits(RANDOM_LENGTH)}`;
  return start + checksum(start);
}

/** That many random letters and digits, each as likely as any other. */
export function randomDigits(length: number): string {
  return Array.from({ length }, () => DIGITS[randomInt(DIGITS.length)]).join('');
}

/** Whether a text means to be a key of ours; it may be mistyped. */
export function looksLikeKey(text: string): boolean {
  return /^ph_(live|test)_/.test(text);
}

/** Whether a text has the form of a key, and its checksum. */
export function isKey(text: string): boolean {
  const [, start = '', sum] = KEY.exec(text) ?? [];
  return sum !== undefined && checksum(start) === sum;
}

/** What of a key may be shown: enough to know it again, and far too little to guess it. */
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
