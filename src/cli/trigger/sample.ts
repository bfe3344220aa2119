import { createSecretKey } from 'node:crypto';
import { GITHUB, type HmacHeader, hmac, SHOPIFY } from '../../signing/verify/hmac.ts';

/** A webhook as its provider sends it, before it is signed. */
export interface Sample {
  /** The fields of the body. */
  readonly fields: Readonly<Record<string, unknown>>;
  /** How the fields become a body: JSON in one line, JSON of several lines as Stripe's, or a form. */
  readonly encoding: 'json' | 'indented' | 'form';
  readonly headers: Readonly<Record<string, string>>;
}

/** The samples of a provider, and how it signs. */
export interface Provider {
  /** The events by name, with what each is about. `make` makes a new one with ids of its own. */
  readonly events: Readonly<Record<string, { readonly about: string; make(now: Date): Sample }>>;
  /** Returns the headers with the signature of a body under the secret's characters. */
  sign(secret: string, body: Buffer, now: Date): Record<string, string>;
}

/** Returns the body of a sample, byte for byte as it is sent and signed. */
export function bodyOf({ fields, encoding }: Sample): Buffer {
  if (encoding === 'form') return Buffer.from(new URLSearchParams(asTexts(fields)).toString());
  return Buffer.from(JSON.stringify(fields, null, encoding === 'indented' ? 2 : 0));
}

/** In a form, a value that is no text is sent as JSON, as Slack's `payload` is. */
function asTexts(fields: Sample['fields']): Record<string, string> {
  const texts = Object.entries(fields).map(([name, value]) => [
    name,
    typeof value === 'string' ? value : JSON.stringify(value),
  ]);
  return Object.fromEntries(texts);
}

/**
 * `X-Hub-Signature-256`, and `X-Hub-Signature` with SHA-1 for receivers of an old time.
 * https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries
 */
export function signAsGitHub(secret: string, body: Buffer): Record<string, string> {
  const old: HmacHeader = {
    ...GITHUB,
    header: 'X-Hub-Signature',
    algorithm: 'sha1',
    prefix: 'sha1=',
  };
  return { ...signByHmac(old, secret, body), ...signByHmac(GITHUB, secret, body) };
}

/** `X-Shopify-Hmac-Sha256`. https://shopify.dev/docs/apps/build/webhooks/subscribe/https */
export function signAsShopify(secret: string, body: Buffer): Record<string, string> {
  return signByHmac(SHOPIFY, secret, body);
}

/** `Stripe-Signature: t=…,v1=…`. https://docs.stripe.com/webhooks#verify-manually */
export function signAsStripe(secret: string, body: Buffer, now: Date): Record<string, string> {
  const seconds = secondsOf(now);
  const signature = hmacHex(secret, [`${seconds}.`, body]);
  return { 'Stripe-Signature': `t=${seconds},v1=${signature}` };
}

/** `X-Slack-Signature: v0=…`. https://docs.slack.dev/authentication/verifying-requests-from-slack */
export function signAsSlack(secret: string, body: Buffer, now: Date): Record<string, string> {
  const seconds = secondsOf(now);
  const signature = hmacHex(secret, [`v0:${seconds}:`, body]);
  return {
    'X-Slack-Request-Timestamp': String(seconds),
    'X-Slack-Signature': `v0=${signature}`,
  };
}

function signByHmac(
  { header, algorithm, encoding, prefix }: HmacHeader,
  secret: string,
  body: Buffer,
): Record<string, string> {
  const key = createSecretKey(secret, 'utf8');
  return { [header]: prefix + hmac(key, algorithm, [body]).toString(encoding) };
}

function hmacHex(secret: string, parts: readonly (string | Buffer)[]): string {
  return hmac(createSecretKey(secret, 'utf8'), 'sha256', parts).toString('hex');
}

/** Whole seconds since 1970. */
export function secondsOf(date: Date): number {
  return Math.floor(date.getTime() / 1000);
}
