// Signatures that cover the time too, so that an intercepted request cannot be replayed later.
import { createSecretKey } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { isPublicKey, isSignatureOf, readPublicKey } from '../ed25519.ts';
import { createSigningKey } from '../sign.ts';
import { anyIs, decodeSignature, hmac, missing, wrong } from './hmac.ts';
import { headerOf, judgeTimestamp, type Verifier } from './verifier.ts';

/**
 * `Stripe-Signature: t=…,v1=…`, the hex HMAC-SHA256 of `{t}.{body}` under the endpoint secret's
 * characters. While a secret is rolled there are several `v1`.
 */
export function createStripeVerifier(secret: string): Verifier {
  const header = 'Stripe-Signature';
  const key = createSecretKey(secret, 'utf8');
  return {
    check(headers, body, nowMs) {
      const given = headerOf(headers, header);
      if (given === null) return missing(header);
      const items = given.split(',').map((item) => item.trim());
      const valuesOf = (name: string) =>
        items
          .filter((item) => item.startsWith(`${name}=`))
          .map((item) => item.slice(name.length + 1));
      const [timestamp = ''] = valuesOf('t');
      const signatures = valuesOf('v1');
      if (signatures.length === 0)
        return `${header} is malformed; it must be t=<seconds>,v1=<64 hex digits>.`;
      const late = judgeTimestamp(timestamp, nowMs, header);
      if (late !== null) return late;
      const expected = hmac(key, 'sha256', [`${timestamp}.`, body]);
      return anyIs(signatures, 'hex', expected) ? null : wrong(header);
    },
  };
}

/**
 * `X-Slack-Signature: v0=…`, the hex HMAC-SHA256 of `v0:{timestamp}:{body}`, with the time in
 * `X-Slack-Request-Timestamp`. Slack asks at first by a `url_verification` whether the URL is ours.
 */
export function createSlackVerifier(secret: string): Verifier {
  const header = 'X-Slack-Signature';
  const timeHeader = 'X-Slack-Request-Timestamp';
  const key = createSecretKey(secret, 'utf8');
  return {
    check(headers, body, nowMs) {
      const given = headerOf(headers, header);
      if (given === null) return missing(header);
      const timestamp = headerOf(headers, timeHeader);
      if (timestamp === null) return missing(timeHeader);
      if (!given.startsWith('v0=')) return `${header} is malformed; it must be v0=<64 hex digits>.`;
      const late = judgeTimestamp(timestamp, nowMs, timeHeader);
      if (late !== null) return late;
      const expected = hmac(key, 'sha256', [`v0:${timestamp}:`, body]);
      return anyIs([given.slice('v0='.length)], 'hex', expected) ? null : wrong(header);
    },
    challenge(value) {
      const { type, challenge } = (value ?? {}) as { type?: unknown; challenge?: unknown };
      return type === 'url_verification' && typeof challenge === 'string' ? challenge : null;
    },
  };
}

/**
 * Standard Webhooks 1.0.0: one of the signatures in `webhook-signature` must be right, `v1` under a
 * `whsec_` secret or `v1a` under a `whpk_` public key. Svix sends the same headers with the prefix `svix-`, from
 * which the standard has them, and its libraries take both.
 *
 * @throws Error for a secret that is neither.
 */
export function createStandardVerifier(secret: string): Verifier {
  const isRight = isPublicKey(secret) ? asymmetric(secret) : shared(secret);
  const version = isPublicKey(secret) ? 'v1a' : 'v1';
  return {
    check(headers, body, nowMs) {
      const prefix =
        isComplete(headers, 'svix') && !isComplete(headers, 'webhook') ? 'svix' : 'webhook';
      const header = `${prefix}-signature`;
      const given = headerOf(headers, header);
      if (given === null) return missing(header);
      const id = headerOf(headers, `${prefix}-id`);
      if (id === null) return missing(`${prefix}-id`);
      const timestamp = headerOf(headers, `${prefix}-timestamp`);
      if (timestamp === null) return missing(`${prefix}-timestamp`);
      const signatures = given
        .split(' ')
        .filter((signature) => signature.startsWith(`${version},`))
        .map((signature) => signature.slice(version.length + 1));
      if (signatures.length === 0)
        return `${header} has no signature that begins with ${version},.`;
      const late = judgeTimestamp(timestamp, nowMs, `${prefix}-timestamp`);
      if (late !== null) return late;
      return isRight(signatures, `${id}.${timestamp}.`, body) ? null : wrong(header);
    },
  };
}

/** Returns true if the three headers with this prefix are there. */
function isComplete(headers: IncomingHttpHeaders, prefix: string): boolean {
  return ['id', 'timestamp', 'signature'].every(
    (name) => headerOf(headers, `${prefix}-${name}`) !== null,
  );
}

type IsRight = (signatures: readonly string[], before: string, body: Buffer) => boolean;

function shared(secret: string): IsRight {
  const { standard } = createSigningKey(secret);
  return (signatures, before, body) =>
    anyIs(signatures, 'base64', standard().update(before).update(body).digest());
}

function asymmetric(secret: string): IsRight {
  const key = readPublicKey(secret);
  return (signatures, before, body) => {
    const content = Buffer.concat([Buffer.from(before), body]);
    return signatures.some((text) => {
      const signature = decodeSignature(text, 'base64');
      return signature !== null && isSignatureOf(key, content, signature);
    });
  };
}
