import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { generateKey, isKey, keyHint, looksLikeKey } from '../../src/keys/format.ts';

const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';

t.test('a key has its environment, 30 random digits of base 62, and their CRC-32', async (t) => {
  for (const environment of ['live', 'test'] as const) {
    const key = generateKey(environment);
    t.match(key, new RegExp(`^ph_${environment}_[0-9A-Za-z]{36}$`));
    t.ok(isKey(key));
    const checksum = [...key.slice(-6)].reduce((sum, digit) => sum * 62 + DIGITS.indexOf(digit), 0);
    t.equal(checksum, crc32(key.slice(0, -6)));
  }
  // 62^30 is about 2^178.
  t.ok(30 * Math.log2(62) > 128);
});

t.test('no two keys are alike, and every digit comes about equally often', async (t) => {
  const keys = Array.from({ length: 2000 }, () => generateKey('live'));
  t.equal(new Set(keys).size, keys.length);
  const counts = new Map<string, number>();
  for (const digit of keys.flatMap((key) => [...key.slice('ph_live_'.length, -6)]))
    counts.set(digit, (counts.get(digit) ?? 0) + 1);
  const expected = (keys.length * 30) / 62;
  t.equal(counts.size, 62);
  // Seven standard deviations: it fails once in 10^10 runs.
  for (const [digit, count] of counts)
    t.ok(Math.abs(count - expected) < 7 * Math.sqrt(expected), `${digit}: ${count}`);
});

t.test('a key with one changed character is not a key', async () => {
  fc.assert(
    fc.property(fc.nat(43), fc.constantFrom(...DIGITS, '_', '-', ' '), (place, other) => {
      const key = generateKey('test');
      const changed = key.slice(0, place) + other + key.slice(place + 1);
      return changed === key || !isKey(changed);
    }),
    { numRuns: 2000 },
  );
});

t.test('a key with two swapped characters, or cut off, is not a key', async (t) => {
  fc.assert(
    fc.property(fc.integer({ min: 8, max: 42 }), (place) => {
      const key = generateKey('live');
      const swapped = key.slice(0, place) + key[place + 1] + key[place] + key.slice(place + 2);
      return swapped === key || !isKey(swapped);
    }),
  );
  const key = generateKey('live');
  for (const text of [key.slice(0, -1), `${key}0`, '', 'ph_live_', `x${key}`, `${key}\n`])
    t.notOk(isKey(text), text);
  t.ok(looksLikeKey(key.slice(0, -1)));
  t.notOk(looksLikeKey('Bearer eyJhbGciOiJIUzI1NiJ9'));
});

t.test('the shown part of a key leaves more than 128 random bits', async (t) => {
  const key = generateKey('live');
  const hint = keyHint(key);
  t.ok(key.startsWith(hint));
  t.match(hint, /^ph_live_[0-9A-Za-z]{4}$/);
  t.ok((30 - 4) * Math.log2(62) > 128);
});
