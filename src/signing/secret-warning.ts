import { isPrivateKey } from './ed25519.ts';
import { WHSEC } from './sign.ts';

/** Receivers can verify with the characters of every secret that is text. */
const AS_TEXT =
  'x-hub-signature-256 and a custom signature header verify with the characters of the secret';

/** Texts that were probably meant to be another secret, and what to do. */
const LOOKS_LIKE: readonly [pattern: RegExp, says: string][] = [
  [/^v1,whsec_/, 'It begins with v1,whsec_; if you mean the secret whsec_…, leave v1, out'],
  [/^\s|\s$/, 'It begins or ends with white space, which is part of the key; remove it'],
  [/^whsec_/i, 'It begins with whsec_ in other letters; write whsec_ in lower case'],
];

/**
 * Returns a sentence about a secret that can be used, but that the libraries of Standard Webhooks cannot verify as
 * they are; null: they can. The secret itself is not in the sentence.
 *
 * These libraries decode the secret as base64, after `whsec_`, so they get another key from any other text. Some of
 * them (Python's, Go's) refuse base64 without its padding.
 *
 * @param secret one that `judgeSecret` takes.
 */
export function secretWarning(secret: string): string | null {
  if (isPrivateKey(secret)) return null;
  if (secret.startsWith(WHSEC)) {
    if ((secret.length - WHSEC.length) % 4 === 0) return null;
    return `The secret is base64 without its padding. Some libraries for webhook-signature (Standard Webhooks) refuse it: give the receiver the secret with = at the end, up to a multiple of four characters. ${AS_TEXT}, without the padding.`;
  }
  const meant = LOOKS_LIKE.find(([pattern]) => pattern.test(secret))?.[1];
  return `${meant === undefined ? '' : `${meant}. `}The secret does not begin with whsec_, so its characters are the key of webhook-signature too. The libraries of Standard Webhooks decode secrets as base64, and verify it only in their raw format (new Webhook(secret, { format: "raw" })). ${AS_TEXT}. For a secret that verifies everywhere, use generate_secret or rotate-secret.`;
}
