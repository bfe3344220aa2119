import type { KeyObject } from 'node:crypto';
import { isPrivateKey, readPrivateKey, signBytes } from './ed25519.ts';
import { createSigningKey, hubSignature, type SigningKey, standardSignature } from './sign.ts';
import { parseSignatureValue, parseSignedContent, type Template } from './signature-template.ts';

/** The secrets and templates with which a subscription's deliveries are signed. */
export interface Signing {
  readonly secret: string;
  /** Replaced secrets that still sign, newest first. */
  readonly retired: readonly RetiredSecret[];
  /** The custom signature header, in addition to those of every signed delivery. */
  readonly custom: CustomSignature | null;
}

export interface RetiredSecret {
  readonly secret: string;
  /** Milliseconds since the epoch. */
  readonly untilMs: number;
}

export interface CustomSignature {
  readonly header: string;
  /** Null: `{hex}`. */
  readonly template: string | null;
  /** The signed content. Null: `{body}`. */
  readonly content: string | null;
}

/** Signs deliveries of one subscription. */
export interface Signer {
  /** The shared secrets, which can also verify webhooks handed in. */
  readonly shared: readonly SharedKey[];
  /**
   * Adds the signature headers of an attempt, each a name and a value.
   *
   * @param timestamp whole seconds since the epoch, of this attempt.
   */
  addHeaders(headers: string[], webhookId: string, timestamp: number, body: Buffer): void;
}

/** A parsed shared secret. */
export interface SharedKey {
  readonly kind: 'hmac';
  readonly signing: SigningKey;
  /** Milliseconds since the epoch; Infinity for the current secret. */
  readonly untilMs: number;
}

type Key =
  | SharedKey
  | { readonly kind: 'ed25519'; readonly private: KeyObject; readonly untilMs: number };

/**
 * Creates a signer. `webhook-signature` has a signature by every secret in effect, the newest first;
 * `X-Hub-Signature-256` has one signature, by the newest shared secret. A custom header is signed by the newest
 * secret.
 *
 * @throws Error for secrets and templates that cannot be used.
 */
export function createSigner({ secret, retired, custom }: Signing): Signer {
  const current = readKey(secret, Number.POSITIVE_INFINITY);
  const earlier = retired.map(({ secret, untilMs }) => readKey(secret, untilMs));
  const addCustom = custom === null ? null : createCustomSignature(current, custom);

  // Nearly all subscriptions have one shared secret, for which each attempt needs no further decision.
  if (current.kind === 'hmac' && earlier.length === 0 && addCustom === null) {
    const { signing } = current;
    return {
      shared: [current],
      addHeaders(headers, webhookId, timestamp, body) {
        headers.push(
          'webhook-signature',
          standardSignature(signing, webhookId, timestamp, body),
          'x-hub-signature-256',
          hubSignature(signing, body),
        );
      },
    };
  }

  const keys = [current, ...earlier];
  return {
    shared: keys.filter((key) => key.kind === 'hmac'),
    addHeaders(headers, webhookId, timestamp, body) {
      const inEffect = keys.filter(({ untilMs }) => timestamp * 1000 < untilMs);
      const signatures = inEffect.map((key) =>
        key.kind === 'hmac'
          ? standardSignature(key.signing, webhookId, timestamp, body)
          : asymmetricSignature(key.private, webhookId, timestamp, body),
      );
      headers.push('webhook-signature', signatures.join(' '));
      const shared = inEffect.find((key) => key.kind === 'hmac');
      if (shared !== undefined)
        headers.push('x-hub-signature-256', hubSignature(shared.signing, body));
      addCustom?.(headers, webhookId, timestamp, body);
    },
  };
}

/** `v1a,` and the base64 Ed25519 signature of `{id}.{timestamp}.{body}` (Standard Webhooks 1.0.0). */
function asymmetricSignature(
  key: KeyObject,
  webhookId: string,
  timestamp: number,
  body: Buffer,
): string {
  const content = Buffer.concat([Buffer.from(`${webhookId}.${timestamp}.`), body]);
  return `v1a,${signBytes(key, content).toString('base64')}`;
}

function readKey(secret: string, untilMs: number): Key {
  return isPrivateKey(secret)
    ? { kind: 'ed25519', private: readPrivateKey(secret).key, untilMs }
    : { kind: 'hmac', signing: createSigningKey(secret), untilMs };
}

/** The key is the characters of a shared secret, whatever it begins with, as for most other senders. */
function createCustomSignature(key: Key, { header, template, content }: CustomSignature) {
  const value = parseSignatureValue(template ?? '{hex}');
  const signed = parseSignedContent(content ?? '{body}');
  const name = header.toLowerCase();
  return (headers: string[], id: string, timestamp: number, body: Buffer): void => {
    const named = { id, timestamp: String(timestamp) };
    const bytes = Buffer.concat(
      signed.map((part) =>
        'name' in part && part.name === 'body' ? body : Buffer.from(fill([part], named)),
      ),
    );
    const signature =
      key.kind === 'hmac'
        ? key.signing.hub().update(bytes).digest()
        : signBytes(key.private, bytes);
    headers.push(
      name,
      fill(value, {
        ...named,
        hex: signature.toString('hex'),
        base64: signature.toString('base64'),
      }),
    );
  };
}

function fill(template: Template, values: Readonly<Record<string, string>>): string {
  return template.map((part) => ('text' in part ? part.text : (values[part.name] ?? ''))).join('');
}
