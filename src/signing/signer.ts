import type { KeyObject } from 'node:crypto';
import { isPrivateKey, readPrivateKey, signBytes } from './ed25519.ts';
import { createSigningKey, hubSignature, type SigningKey, standardSignature } from './sign.ts';
import { parseSignatureValue, parseSignedContent, type Template } from './signature-template.ts';

/** What the signatures of a subscription's deliveries are made of. */
export interface Signing {
  readonly secret: string;
  /** Secrets that were replaced and still sign, newest first. */
  readonly retired: readonly RetiredSecret[];
  /** A header of the subscription's own, besides those of every signed delivery. */
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
  /** What is signed. Null: `{body}`. */
  readonly content: string | null;
}

/** Signs deliveries of one subscription. */
export interface Signer {
  /** The secrets that both ends have: with them, who hands a webhook in may sign too. */
  readonly shared: readonly SharedKey[];
  /**
   * Adds the signature headers of an attempt, each a name and a value.
   *
   * @param timestamp whole seconds since the epoch, of this attempt.
   */
  addHeaders(headers: string[], webhookId: string, timestamp: number, body: Buffer): void;
}

/** A secret that both ends have, read once. */
export interface SharedKey {
  readonly kind: 'hmac';
  readonly signing: SigningKey;
  /** Milliseconds since the epoch; Infinity for one that was not replaced. */
  readonly untilMs: number;
}

type Key =
  | SharedKey
  | { readonly kind: 'ed25519'; readonly private: KeyObject; readonly untilMs: number };

/**
 * Reads secrets into a signer. `webhook-signature` is made with every secret that is in effect, the
 * newest first; `X-Hub-Signature-256` has room for one: the newest that is shared. A header of one's
 * own is made with the newest.
 *
 * @throws Error for secrets and templates that cannot be used.
 */
export function createSigner({ secret, retired, custom }: Signing): Signer {
  const current = readKey(secret, Number.POSITIVE_INFINITY);
  const earlier = retired.map((one) => readKey(one.secret, one.untilMs));
  const addCustom = custom === null ? null : createCustomSignature(current, custom);

  // What nearly all have: one shared secret, and nothing to ask about it at each attempt.
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

/** A shared secret's own characters are the key, whatever it begins with, as most others have it. */
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
