import { createHmac, webcrypto } from 'node:crypto';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import { Webhook as SvixWebhook } from 'svix';
import t from 'tap';
import { generatePrivateKey, readPrivateKey } from '../../src/signing/ed25519.ts';
import { generateSecret } from '../../src/signing/sign.ts';
import { createSigner } from '../../src/signing/signer.ts';
import { createVerifier, type Verification } from '../../src/signing/verify/schemes.ts';

type Headers = Record<string, string>;

const MINUTE = 60_000;
const text = fc.string({ unit: 'binary', maxLength: 500 });
/** HMAC fills short keys up with zeros: secrets that differ by those alone are one key. */
const secret = fc.string({ unit: 'grapheme-ascii', minLength: 1, maxLength: 60 });

function check(
  verification: Verification,
  secret: string,
  headers: Headers,
  body: string | Buffer,
  nowMs: number = Date.now(),
): string | null {
  return createVerifier(verification, secret).check(headers, Buffer.from(body), nowMs);
}

/** Whether it is taken as it is, and refused once its body or its secret is another. */
function judges(verification: Verification, secret: string, headers: Headers, body: string) {
  return (
    check(verification, secret, headers, body) === null &&
    check(verification, secret, headers, `${body} `) !== null &&
    check(verification, otherThan(secret), headers, body) !== null
  );
}

function otherThan(secret: string): string {
  return secret.startsWith('whsec_') ? generateSecret() : `${secret}x`;
}

t.test("the example of GitHub's documentation is accepted", async (t) => {
  const headers = {
    'x-hub-signature-256':
      'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17',
  };
  const secret = "It's a Secret to Everybody";
  t.equal(check({ scheme: 'github' }, secret, headers, 'Hello, World!'), null);
  t.match(
    check({ scheme: 'github' }, secret, headers, 'Hello, World'),
    /X-Hub-Signature-256 is not/,
  );
});

t.test("only signatures of GitHub's library are accepted", async () => {
  await fc.assert(
    fc.asyncProperty(secret, text, async (secret, body) => {
      fc.pre(body !== '');
      const headers = { 'x-hub-signature-256': await octokitSign(secret, body) };
      return judges({ scheme: 'github' }, secret, headers, body);
    }),
  );
});

/** The example of Slack's page on verifying requests. */
const SLACK = {
  secret: '8f742231b10e8888abcd99yyyzzz85a5',
  timestamp: '1531420618',
  body: 'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c',
  signature: 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
};

t.test(
  "the example of Slack's documentation is accepted within five minutes of its time",
  async (t) => {
    const { secret, timestamp, body, signature } = SLACK;
    const headers = { 'x-slack-signature': signature, 'x-slack-request-timestamp': timestamp };
    const sentAt = Number(timestamp) * 1000;
    const at = (nowMs: number, given: Headers = headers) =>
      check({ scheme: 'slack' }, secret, given, body, nowMs);
    t.equal(at(sentAt), null);
    t.equal(at(sentAt + 5 * MINUTE), null);
    t.equal(at(sentAt - 5 * MINUTE), null);
    t.match(at(sentAt + 5 * MINUTE + 1), /X-Slack-Request-Timestamp .* older than five minutes/);
    t.match(at(sentAt - 5 * MINUTE - 1), /more than five minutes ahead/);
    const later = { ...headers, 'x-slack-request-timestamp': '1531420619' };
    t.match(at(sentAt, later), /X-Slack-Signature is not/, 'the time is signed too');
    t.match(at(sentAt, { 'x-slack-signature': signature }), /X-Slack-Request-Timestamp is missing/);
    t.match(at(sentAt, { ...headers, 'x-slack-request-timestamp': 'now' }), /seconds since 1970/);
    t.match(at(sentAt, { ...headers, 'x-slack-signature': signature.slice(3) }), /v0=/);
  },
);

t.test(
  'a url_verification of Slack is answered with its challenge, and no other request is',
  async (t) => {
    const { challenge } = createVerifier({ scheme: 'slack' }, SLACK.secret);
    t.equal(challenge?.({ type: 'url_verification', challenge: '3eZbrw1a' }), '3eZbrw1a');
    for (const value of [
      { type: 'event_callback', challenge: 'x' },
      { type: 'url_verification' },
      null,
      7,
    ])
      t.equal(challenge?.(value), null);
  },
);

t.test("only signatures of Stripe's library are accepted", async () => {
  const { webhooks } = new Stripe('sk_test_x');
  fc.assert(
    fc.property(secret, text, (secret, payload) => {
      fc.pre(payload !== '');
      const header = webhooks.generateTestHeaderString({ payload, secret });
      return judges({ scheme: 'stripe' }, secret, { 'stripe-signature': header }, payload);
    }),
  );
});

t.test("Stripe's header may have several signatures, other schemes, and must be new", async (t) => {
  const now = Date.now();
  const timestamp = Math.floor(now / 1000);
  const mac = (secret: string) =>
    createHmac('sha256', secret).update(`${timestamp}.{}`).digest('hex');
  const at = (header: string, nowMs = now) =>
    check({ scheme: 'stripe' }, 'whsec_text', { 'stripe-signature': header }, '{}', nowMs);
  const right = mac('whsec_text');
  t.equal(at(`t=${timestamp},v1=${mac('being rolled')},v1=${right},v0=${mac('x')}`), null);
  t.match(at(`t=${timestamp},v0=${right}`), /Stripe-Signature is malformed/);
  t.match(at(`v1=${right}`), /no timestamp/);
  t.match(at(`t=${timestamp - 1},v1=${right}`), /Stripe-Signature is not/);
  t.match(at(`t=${timestamp},v1=${right}`, now + 6 * MINUTE), /older than five minutes/);
  t.match(at(''), /Stripe-Signature is missing/);
});

t.test("only Shopify's base64 HMAC, as WebCrypto computes it, is accepted", async () => {
  await fc.assert(
    fc.asyncProperty(secret, text, async (secret, body) => {
      const key = await webcrypto.subtle.importKey(
        'raw',
        new TextEncoder().encode(secret),
        { name: 'HMAC', hash: 'SHA-256' },
        false,
        ['sign'],
      );
      const bytes = new Uint8Array(Buffer.from(body));
      const signature = Buffer.from(await webcrypto.subtle.sign('HMAC', key, bytes));
      const headers = { 'x-shopify-hmac-sha256': signature.toString('base64') };
      return judges({ scheme: 'shopify' }, secret, headers, body);
    }),
  );
});

t.test('the vector of the Standard Webhooks specification is accepted', async (t) => {
  const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
  const headers = {
    'webhook-id': 'msg_p5jXN8AQM9LWM0D4loKWxJek',
    'webhook-timestamp': '1614265330',
    'webhook-signature': 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
  };
  const at = (nowMs: number, given: Headers = headers) =>
    check({ scheme: 'standard-webhooks' }, secret, given, '{"test": 2432232314}', nowMs);
  const sentAt = 1614265330_000;
  t.equal(at(sentAt), null);
  t.match(at(sentAt + 5 * MINUTE + 1), /webhook-timestamp .* older/);
  t.match(at(sentAt, { ...headers, 'webhook-id': 'msg_other' }), /webhook-signature is not/);
  for (const name of Object.keys(headers))
    t.match(at(sentAt, { ...headers, [name]: '' }), new RegExp(`${name} is missing`));
  t.match(at(sentAt, { ...headers, 'webhook-signature': 'v2,x' }), /begins with v1,/);
});

t.test('only signatures of the standardwebhooks and svix libraries are accepted', async () => {
  fc.assert(
    fc.property(fc.uuid(), text, fc.boolean(), (id, body, bySvix) => {
      const secret = generateSecret();
      const library = bySvix ? new SvixWebhook(secret) : new StandardWebhook(secret);
      const now = new Date();
      const headers = {
        'webhook-id': id,
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': library.sign(id, now, body),
      };
      return judges({ scheme: 'standard-webhooks' }, secret, headers, body);
    }),
  );
});

t.test('signatures of another Posthorn are accepted, in an overlap and by Ed25519', async (t) => {
  const body = Buffer.from('{"a":1}');
  const timestamp = Math.floor(Date.now() / 1000);
  const [shared, pair] = [generateSecret(), generatePrivateKey()];
  const retired = [{ secret: shared, untilMs: Date.now() + MINUTE }];
  const made: string[] = [];
  createSigner({ secret: pair, retired, custom: null }).addHeaders(made, 'id', timestamp, body);
  const headers: Headers = {
    'webhook-id': 'id',
    'webhook-timestamp': String(timestamp),
    'webhook-signature': made[1] as string,
  };
  const { publicKey } = readPrivateKey(pair);
  const other = readPrivateKey(generatePrivateKey()).publicKey;
  t.equal(check({ scheme: 'standard-webhooks' }, shared, headers, body), null);
  t.equal(check({ scheme: 'standard-webhooks' }, publicKey, headers, body), null);
  t.match(check({ scheme: 'standard-webhooks' }, other, headers, body), /is not/);
  t.match(check({ scheme: 'standard-webhooks' }, publicKey, headers, '{"a":2}'), /is not/);
});

t.test('any HMAC header is accepted by its description, and no other', async () => {
  const shape = fc.record({
    algorithm: fc.constantFrom('sha256' as const, 'sha512' as const, 'sha1' as const),
    encoding: fc.constantFrom('hex' as const, 'base64' as const),
    prefix: fc.constantFrom('', 'sha=', 'v1,'),
  });
  fc.assert(
    fc.property(shape, secret, text, (shape, secret, body) => {
      const { algorithm, encoding, prefix } = shape;
      const signature = createHmac(algorithm, secret).update(body).digest(encoding);
      const verification = { scheme: 'hmac' as const, header: 'X-Any', ...shape };
      const header = `${prefix}${signature}`;
      return (
        judges(verification, secret, { 'x-any': header }, body) &&
        check(verification, secret, { 'x-any': header.slice(1) }, body) !== null &&
        check(verification, secret, { 'x-any': `${header}${signature}` }, body) !== null &&
        check(verification, secret, { 'x-other': header }, body)?.includes('X-Any is missing') ===
          true
      );
    }),
  );
});

t.test('an error never shows the right signature', async (t) => {
  const secret = 'a-secret-canary';
  const right = createHmac('sha256', secret).update('{}').digest('hex');
  for (const header of ['', 'sha256=', `sha256=${'0'.repeat(64)}`, 'x'.repeat(64)]) {
    const why = check({ scheme: 'github' }, secret, { 'x-hub-signature-256': header }, '{}');
    t.ok(why);
    t.notMatch(why, right);
    t.notMatch(why, secret);
  }
});
