import { webcrypto } from 'node:crypto';
import { verify as octokitVerify } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import t from 'tap';
import {
  createSigningKey,
  hubSignature,
  judgeSecret,
  standardSignature,
  verifyHubSignature,
} from '../../src/signing/sign.ts';

/** The vector of the Standard Webhooks specification. */
const VECTOR = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1614265330,
  body: Buffer.from('{"test": 2432232314}'),
  secret: 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw',
  signature: 'v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=',
};

const keyBytes = fc.uint8Array({ minLength: 24, maxLength: 64 }).map((bytes) => Buffer.from(bytes));
/** As people paste them: with the padding or without. */
const whsec = fc.tuple(keyBytes, fc.boolean()).map(([bytes, padded]) => {
  const encoded = bytes.toString('base64');
  return `whsec_${padded ? encoded : encoded.replaceAll('=', '')}`;
});
const anyText = fc.string({ unit: 'binary', minLength: 1, maxLength: 80 });
const plainSecret = anyText.filter((text) => !text.startsWith('whsec_'));
const anyBytes = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));
const id = fc.uuid({ version: 7 });

const present = () => Math.floor(Date.now() / 1000);
const headersOf = (webhookId: string, timestamp: number, signature: string) => ({
  'webhook-id': webhookId,
  'webhook-timestamp': String(timestamp),
  'webhook-signature': signature,
});

async function webCryptoVerifies(key: Uint8Array, signature: Buffer, content: Buffer) {
  const imported = await webcrypto.subtle.importKey(
    'raw',
    new Uint8Array(key),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['verify'],
  );
  return await webcrypto.subtle.verify(
    'HMAC',
    imported,
    new Uint8Array(signature),
    new Uint8Array(content),
  );
}

t.test('the vector of the Standard Webhooks specification is signed as it says', async (t) => {
  const { id, timestamp, body, secret, signature } = VECTOR;
  t.equal(standardSignature(createSigningKey(secret), id, timestamp, body), signature);
});

t.test("the example of GitHub's documentation is signed as it says", async (t) => {
  const key = createSigningKey("It's a Secret to Everybody");
  const body = Buffer.from('Hello, World!');
  const signature = 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17';
  t.equal(hubSignature(key, body), signature);
  t.ok(verifyHubSignature(key, body, signature));
});

t.test('receivers verify every webhook with the standardwebhooks and svix libraries', async () => {
  fc.assert(
    fc.property(whsec, id, anyText, (secret, webhookId, text) => {
      const body = Buffer.from(text);
      const timestamp = present();
      const signature = standardSignature(createSigningKey(secret), webhookId, timestamp, body);
      const headers = headersOf(webhookId, timestamp, signature);
      new StandardWebhook(secret).verify(body, headers, { jsonParse: false });
      new SvixWebhook(secret).verify(body, headers);
    }),
  );
});

t.test('a secret without whsec_ signs with its own bytes, and libraries verify it', async () => {
  fc.assert(
    fc.property(plainSecret, id, anyText, (secret, webhookId, text) => {
      const body = Buffer.from(text);
      const timestamp = present();
      const signature = standardSignature(createSigningKey(secret), webhookId, timestamp, body);
      new StandardWebhook(Buffer.from(secret), { format: 'raw' }).verify(
        body,
        headersOf(webhookId, timestamp, signature),
        { jsonParse: false },
      );
    }),
  );
});

t.test('bytes that are not text are signed unchanged', async () => {
  await fc.assert(
    fc.asyncProperty(keyBytes, id, anyBytes, async (bytes, webhookId, body) => {
      const key = createSigningKey(`whsec_${bytes.toString('base64')}`);
      const [version, signature = ''] = standardSignature(key, webhookId, 1, body).split(',');
      const content = Buffer.concat([Buffer.from(`${webhookId}.1.`), body]);
      return (
        version === 'v1' &&
        (await webCryptoVerifies(bytes, Buffer.from(signature, 'base64'), content))
      );
    }),
  );
});

t.test('a signature depends on the secret, the id, the second and the body', async (t) => {
  const { id, timestamp, body, secret, signature } = VECTOR;
  const key = createSigningKey(secret);
  const other = createSigningKey('whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSx');
  t.not(standardSignature(other, id, timestamp, body), signature);
  t.not(standardSignature(key, `${id}x`, timestamp, body), signature);
  t.not(standardSignature(key, id, timestamp + 1, body), signature);
  t.not(standardSignature(key, id, timestamp, Buffer.from('{"test":2432232314}')), signature);
});

t.test("GitHub's library verifies X-Hub-Signature-256, whatever the secret and body", async () => {
  await fc.assert(
    fc.asyncProperty(fc.oneof(whsec, plainSecret), anyText, (secret, body) =>
      octokitVerify(secret, body, hubSignature(createSigningKey(secret), Buffer.from(body))),
    ),
  );
});

t.test('the hub signature of a whsec_ secret uses its text as the key, as GitHub', async (t) => {
  const body = Buffer.from('{}');
  const signature = hubSignature(createSigningKey(VECTOR.secret), body).slice('sha256='.length);
  t.ok(await webCryptoVerifies(Buffer.from(VECTOR.secret), Buffer.from(signature, 'hex'), body));
});

t.test('intake accepts its own hub signature, in digits of either case', async () => {
  fc.assert(
    fc.property(plainSecret, anyBytes, (secret, body) => {
      const key = createSigningKey(secret);
      const [name, digits = ''] = hubSignature(key, body).split('=');
      return (
        verifyHubSignature(key, body, `${name}=${digits}`) &&
        verifyHubSignature(key, body, `${name}=${digits.toUpperCase()}`)
      );
    }),
  );
});

t.test('intake refuses a hub signature with one wrong digit', async () => {
  fc.assert(
    fc.property(
      anyBytes,
      fc.nat(63),
      fc.integer({ min: 1, max: 15 }),
      (body, position, difference) => {
        const key = createSigningKey('secret');
        const digits = [...hubSignature(key, body).slice('sha256='.length)];
        const digit = Number.parseInt(digits[position] as string, 16);
        digits[position] = (digit ^ difference).toString(16);
        return !verifyHubSignature(key, body, `sha256=${digits.join('')}`);
      },
    ),
  );
});

t.test('intake refuses the hub signature of another body or secret', async () => {
  fc.assert(
    fc.property(anyBytes, anyBytes, plainSecret, plainSecret, (body, other, secret, another) => {
      // HMAC fills short keys up with zeros: secrets that differ by those alone are one key.
      const withoutZeros = (text: string) => text.replace(/\0+$/, '');
      fc.pre(!body.equals(other) && withoutZeros(secret) !== withoutZeros(another));
      const key = createSigningKey(secret);
      return (
        !verifyHubSignature(key, body, hubSignature(key, other)) &&
        !verifyHubSignature(key, body, hubSignature(createSigningKey(another), body))
      );
    }),
  );
});

t.test('intake refuses anything that is not a hub signature, without an error', async (t) => {
  const key = createSigningKey('secret');
  const body = Buffer.from('{}');
  const right = hubSignature(key, body);
  const digits = right.slice('sha256='.length);
  t.ok(verifyHubSignature(key, body, right));
  for (const header of [
    '',
    'sha256=',
    digits,
    `sha1=${digits}`,
    `sha256 = ${digits}`,
    `sha256=${digits.slice(1)}`,
    `sha256=${digits}0`,
    `sha256=${digits},sha256=${digits}`,
    ` ${right}`,
    `${right} `,
    `${right}\n`,
    `sha256=${digits.slice(0, 62)}zz`,
    `sha256=${Buffer.from(digits, 'hex').toString('base64')}`,
    `sha256=${'０'.repeat(64)}`,
  ]) {
    t.equal(verifyHubSignature(key, body, header), false, JSON.stringify(header));
  }
});

t.test('secrets are checked, and others are refused with the reason', async (t) => {
  const base64Of = (bytes: number) => Buffer.alloc(bytes, 0xff).toString('base64');
  const good = [
    VECTOR.secret,
    'a',
    'pass phrase with blanks ✓',
    'WHSEC_is-only-a-prefix-in-lower-case',
    'whsec',
    `whsec_${base64Of(24)}`,
    `whsec_${base64Of(25)}`,
    `whsec_${base64Of(25).replace('==', '')}`,
    `whsec_${base64Of(26).replace('=', '')}`,
    `whsec_${base64Of(64)}`,
  ];
  for (const secret of good) {
    t.equal(judgeSecret(secret), null, secret);
    t.doesNotThrow(() => createSigningKey(secret), secret);
  }
  const bad: [secret: string, why: RegExp][] = [
    ['', /it is empty/],
    ['whsec_', /not base64/],
    [`whsec_${base64Of(23)}`, /is 23 bytes .* asks for 24 to 64/],
    [`whsec_${base64Of(65)}`, /is 65 bytes/],
    [`whsec_${'-_'.repeat(16)}`, /not base64/],
    [`whsec_${base64Of(24)}\n`, /not base64/],
    [`whsec_ ${base64Of(24)}`, /not base64/],
    [`whsec_${base64Of(24)}A`, /not base64/],
    [`whsec_${base64Of(24)}=`, /not base64/],
    [`whsec_${base64Of(25)}=`, /not base64/],
    [`whsec_${base64Of(25).replace('==', '=')}`, /not base64/],
    [`whsec_=${base64Of(24)}`, /not base64/],
  ];
  for (const [secret, why] of bad) {
    t.match(judgeSecret(secret), why, JSON.stringify(secret));
    t.throws(() => createSigningKey(secret), { message: why }, JSON.stringify(secret));
  }
});

t.test('an error never shows the secret', async () => {
  fc.assert(
    fc.property(fc.stringMatching(/^whsec_[a-z!]{8,20}$/), (secret) => {
      const why = judgeSecret(secret);
      return why !== null && !why.includes(secret.slice('whsec_'.length));
    }),
  );
});
