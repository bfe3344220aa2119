import { createHmac, createPublicKey, randomBytes, verify } from 'node:crypto';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import t from 'tap';
import { generatePrivateKey, readPrivateKey } from '../../src/signing/ed25519.ts';
import { generateSecret, judgeSecret } from '../../src/signing/sign.ts';
import { type CustomSignature, createSigner } from '../../src/signing/signer.ts';

/** The vector that Svix publishes for Standard Webhooks' asymmetric signatures. */
const VECTOR = {
  id: 'msg_p5jXN8AQM9LWM0D4loKWxJek',
  timestamp: 1614265330,
  body: Buffer.from('{"test": 2432232314}'),
  secret:
    'whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==',
  publicKey: 'whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=',
  signature:
    'v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==',
};

const id = fc.uuid({ version: 7 });
const anyBytes = fc.uint8Array({ maxLength: 2000 }).map((bytes) => Buffer.from(bytes));
const present = () => Math.floor(Date.now() / 1000);

function headersOf(
  signing: Partial<Parameters<typeof createSigner>[0]> & { secret: string },
  webhookId: string,
  timestamp: number,
  body: Buffer,
): Record<string, string> {
  const headers: string[] = [];
  const signer = createSigner({ retired: [], custom: null, ...signing });
  signer.addHeaders(headers, webhookId, timestamp, body);
  const pairs = Array.from({ length: headers.length / 2 }, (_, n) =>
    headers.slice(2 * n, 2 * n + 2),
  );
  t.equal(new Set(pairs.map(([name]) => name)).size, pairs.length, 'a header comes once');
  return Object.fromEntries(pairs);
}

/** Verifies with the public key as a receiver has it, by node:crypto and a JWK. */
function receiverVerifies(publicKey: string, signature: string, content: Buffer): boolean {
  const x = Buffer.from(publicKey.slice('whpk_'.length), 'base64').toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  return verify(null, content, key, Buffer.from(signature, 'base64'));
}

t.test('the published vector of Ed25519 signatures is signed as it says', async (t) => {
  const { id, timestamp, body, secret, publicKey, signature } = VECTOR;
  t.strictSame(headersOf({ secret }, id, timestamp, body), { 'webhook-signature': signature });
  t.equal(readPrivateKey(secret).publicKey, publicKey);
  const seed = Buffer.from(secret.slice('whsk_'.length), 'base64').subarray(0, 32);
  t.equal(
    readPrivateKey(`whsk_${seed.toString('base64')}`).publicKey,
    publicKey,
    'a seed is enough',
  );
});

t.test('receivers verify each v1a signature with the public key, and with no other', async () => {
  fc.assert(
    fc.property(id, anyBytes, (webhookId, body) => {
      const secret = generatePrivateKey();
      const timestamp = present();
      const header = headersOf({ secret }, webhookId, timestamp, body)['webhook-signature'] ?? '';
      const [version, signature = ''] = header.split(',');
      const content = Buffer.concat([Buffer.from(`${webhookId}.${timestamp}.`), body]);
      const { publicKey } = readPrivateKey(secret);
      return (
        version === 'v1a' &&
        receiverVerifies(publicKey, signature, content) &&
        !receiverVerifies(publicKey, signature, Buffer.concat([content, Buffer.from(' ')])) &&
        !receiverVerifies(readPrivateKey(generatePrivateKey()).publicKey, signature, content)
      );
    }),
    { numRuns: 30 },
  );
});

t.test('private keys are checked, and others are refused with the reason', async (t) => {
  t.equal(judgeSecret(VECTOR.secret), null);
  for (let n = 0; n < 20; n++) t.equal(judgeSecret(generatePrivateKey()), null);
  const bytes = Buffer.from(VECTOR.secret.slice('whsk_'.length), 'base64');
  const other = Buffer.concat([bytes.subarray(0, 32), randomBytes(32)]);
  for (const [key, why] of [
    ['', /not base64/],
    ['!!!', /not base64/],
    [bytes.subarray(0, 31).toString('base64'), /is 31 bytes .* has 32, or 64/],
    [other.toString('base64'), /not the public key of the first/],
  ] as [string, RegExp][]) {
    t.match(judgeSecret(`whsk_${key}`), why);
    if (key !== '') t.notMatch(judgeSecret(`whsk_${key}`), key);
  }
});

t.test('generated secrets are whsec_ with 32 bytes, and all different', async (t) => {
  const made = Array.from({ length: 100 }, generateSecret);
  t.equal(new Set(made).size, 100);
  for (const secret of made) {
    t.equal(judgeSecret(secret), null);
    t.equal(Buffer.from(secret.slice('whsec_'.length), 'base64').length, 32);
  }
});

t.test(
  'in an overlap both secrets sign, the new one first, and libraries accept both',
  async () => {
    fc.assert(
      fc.property(id, fc.string({ unit: 'binary' }), (webhookId, text) => {
        const [secret, before] = [generateSecret(), generateSecret()];
        const body = Buffer.from(text);
        const timestamp = present();
        const retired = [{ secret: before, untilMs: timestamp * 1000 + 1 }];
        const headers: Record<string, string> = {
          ...headersOf({ secret, retired }, webhookId, timestamp, body),
          'webhook-id': webhookId,
          'webhook-timestamp': String(timestamp),
        };
        for (const one of [secret, before])
          new StandardWebhook(one).verify(body, headers, { jsonParse: false });
        const alone = headersOf({ secret }, webhookId, timestamp, body);
        return (
          headers['webhook-signature']?.startsWith(`${alone['webhook-signature']} v1,`) === true &&
          headers['x-hub-signature-256'] === alone['x-hub-signature-256']
        );
      }),
      { numRuns: 30 },
    );
  },
);

t.test('when its overlap has ended, a secret signs no more', async (t) => {
  const [secret, before] = [generateSecret(), generateSecret()];
  const { id, timestamp, body } = VECTOR;
  const retired = [{ secret: before, untilMs: timestamp * 1000 }];
  t.strictSame(
    headersOf({ secret, retired }, id, timestamp, body),
    headersOf({ secret }, id, timestamp, body),
  );
});

t.test(
  "from a shared secret to a key pair: both sign, and GitHub's header stays for the overlap",
  async (t) => {
    const shared = generateSecret();
    const { id, timestamp, body, secret, signature } = VECTOR;
    const retired = [{ secret: shared, untilMs: timestamp * 1000 + 1000 }];
    const headers = headersOf({ secret, retired }, id, timestamp, body);
    const before = headersOf({ secret: shared }, id, timestamp, body);
    t.equal(headers['webhook-signature'], `${signature} ${before['webhook-signature']}`);
    t.equal(headers['x-hub-signature-256'], before['x-hub-signature-256']);
    t.strictSame(Object.keys(headersOf({ secret, retired }, id, timestamp + 1, body)), [
      'webhook-signature',
    ]);
  },
);

t.test('a custom header is written and signed by its templates', async (t) => {
  const { id, timestamp, body } = VECTOR;
  const plain = 'the key';
  const mac = (content: string) => createHmac('sha256', plain).update(content);
  const cases: [Omit<CustomSignature, 'header'>, string][] = [
    [{ template: null, content: null }, mac(`${body}`).digest('hex')],
    [{ template: '{base64}', content: null }, mac(`${body}`).digest('base64')],
    [
      { template: 't={timestamp},v1={hex}', content: '{timestamp}.{body}' },
      `t=${timestamp},v1=${mac(`${timestamp}.${body}`).digest('hex')}`,
    ],
    [
      { template: 'id={id}; sig={hex}', content: 'v0:{id}:{timestamp}:{body}:end' },
      `id=${id}; sig=${mac(`v0:${id}:${timestamp}:${body}:end`).digest('hex')}`,
    ],
  ];
  for (const [templates, expected] of cases) {
    const custom = { header: 'X-Acme-Signature', ...templates };
    const headers = headersOf({ secret: plain, custom }, id, timestamp, body);
    t.equal(headers['x-acme-signature'], expected);
    t.ok(headers['webhook-signature'], 'the others are still there');
  }
});

t.test("templates can produce signatures that Stripe's library accepts", async () => {
  const { webhooks } = new Stripe('sk_test_x');
  const custom = {
    header: 'Stripe-Signature',
    template: 't={timestamp},v1={hex}',
    content: '{timestamp}.{body}',
  };
  fc.assert(
    fc.property(fc.json(), (text) => {
      const secret = generateSecret();
      const headers = headersOf({ secret, custom }, 'id', present(), Buffer.from(text));
      webhooks.constructEvent(text, headers['stripe-signature'] ?? '', secret);
    }),
    { numRuns: 30 },
  );
});

t.test('with a key pair, a custom header has the Ed25519 signature', async (t) => {
  const { id, timestamp, body, secret, publicKey } = VECTOR;
  const custom = {
    header: 'X-Signature-Ed25519',
    template: '{base64}',
    content: '{timestamp}{body}',
  };
  const headers = headersOf({ secret, custom }, id, timestamp, body);
  const content = Buffer.from(`${timestamp}${body}`);
  t.ok(receiverVerifies(publicKey, headers['x-signature-ed25519'] ?? '', content));
});
