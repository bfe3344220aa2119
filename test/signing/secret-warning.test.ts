// A secret without a warning is verified by each official library as it is; a secret with one says what does verify.
import { randomBytes } from 'node:crypto';
import { verify as octokitVerify } from '@octokit/webhooks-methods';
import fc from 'fast-check';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import t from 'tap';
import { generatePrivateKey } from '../../src/signing/ed25519.ts';
import { secretWarning } from '../../src/signing/secret-warning.ts';
import { generateSecret, judgeSecret } from '../../src/signing/sign.ts';
import { createSigner } from '../../src/signing/signer.ts';
import { startTestService } from '../helpers/service.ts';

const BODY = '{"n":1}';

/** The headers of a delivery that is signed with a secret. */
function sign(secret: string): Record<string, string> {
  const timestamp = Math.floor(Date.now() / 1000);
  const headers = ['webhook-id', 'msg_1', 'webhook-timestamp', String(timestamp)];
  const signer = createSigner({ secret, retired: [], custom: null });
  signer.addHeaders(headers, 'msg_1', timestamp, Buffer.from(BODY));
  return Object.fromEntries(
    Array.from({ length: headers.length / 2 }, (_, n) => headers.slice(2 * n, 2 * n + 2)),
  );
}

function isVerifiedBy(create: () => { verify(body: string, headers: object): unknown }): boolean {
  try {
    create().verify(BODY, headersOf);
    return true;
  } catch {
    return false;
  }
}
let headersOf: Record<string, string> = {};

/** Which of the libraries verify, with the secret as a person pastes it. */
function judgeByLibraries(secret: string) {
  headersOf = sign(secret);
  return {
    asItIs: [
      isVerifiedBy(() => new StandardWebhook(secret) as never),
      isVerifiedBy(() => new SvixWebhook(secret) as never),
    ],
    raw: isVerifiedBy(() => new StandardWebhook(Buffer.from(secret), { format: 'raw' }) as never),
    hub: headersOf['x-hub-signature-256'] ?? '',
  };
}

const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

t.test('the libraries verify each secret without a warning, and none with one', async (t) => {
  const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 });
  const base64 = fc
    .uint8Array({ minLength: 24, maxLength: 64 })
    .map((bytes) => Buffer.from(bytes).toString('base64'));
  const secrets = fc.oneof(
    text,
    base64,
    fc
      .tuple(fc.constantFrom('whsec_', 'v1,whsec_', 'WHSEC_', ' whsec_', 'Whsec_', ''), base64)
      .map((parts) => parts.join('')),
  );
  await fc.assert(
    fc.asyncProperty(secrets, async (secret) => {
      fc.pre(judgeSecret(secret) === null);
      const warning = secretWarning(secret);
      const { asItIs, raw, hub } = judgeByLibraries(secret);
      const verified = warning === null;
      t.strictSame(asItIs, [verified, verified], secret);
      if (!verified) t.ok(raw, `${secret} is verified in the raw format, as the warning says`);
      t.ok(await octokitVerify(secret, BODY, hub), `x-hub-signature-256 of ${secret}`);
    }),
    { numRuns: 200 },
  );
  for (let n = 0; n < 20; n++) t.equal(secretWarning(generateSecret()), null);
  t.equal(secretWarning(generatePrivateKey()), null, 'a private key is not meant to be shared');
});

t.test('a warning says what was probably meant', async (t) => {
  const unpadded = `whsec_${randomBytes(32).toString('base64').replace('=', '')}`;
  for (const [secret, says] of [
    [`v1,${WHSEC}`, /leave v1, out/],
    [` ${WHSEC}`, /white space.*remove it/],
    [`a text\n`, /white space/],
    [WHSEC.replace('whsec_', 'WHSEC_'), /lower case/],
    ['a secret of your own', /^The secret does not begin with whsec_/],
    [unpadded, /without its padding/],
  ] as const) {
    const warning = secretWarning(secret) ?? '';
    t.match(warning, says, secret);
    t.match(warning, /x-hub-signature-256/);
    t.notMatch(warning, secret, 'the secret is not shown');
  }
});

t.test('each request that sets a secret is answered with its warning', async (t) => {
  const posthorn = await startTestService(t);
  const url = 'https://example.com';
  const first = await posthorn.request('POST', '/v1/subscriptions', { url });
  const path = `/v1/subscriptions/${first.json.id}`;
  t.notOk('warning' in first.json, 'no secret, no warning');
  const requests: [method: string, path: string, body: object][] = [
    ['POST', '/v1/subscriptions', { url }],
    ['PATCH', path, {}],
    ['POST', `${path}/rotate-secret`, {}],
    ['POST', '/subscriptions/createsubscription', { url }],
    ['PUT', '/subscriptions/updatesubscription', { id: first.json.id }],
  ];
  for (const [method, path, body] of requests) {
    const warned = await posthorn.request(method, path, { ...body, secret: `v1,${WHSEC}` });
    t.match(warned, { json: { warning: /leave v1, out/ } }, `${method} ${path}: ${warned.text}`);
    const { json } = await posthorn.request(method, path, { ...body, secret: WHSEC });
    t.ok(json.id);
    t.notOk('warning' in json, `${method} ${path} of a secret for all`);
  }
  const generated = [
    await posthorn.request('POST', '/v1/subscriptions', { url, generate_secret: true }),
    await posthorn.request('POST', `${path}/rotate-secret`, {}),
    await posthorn.request('PATCH', path, { secret: null }),
  ];
  for (const { json } of generated) t.notOk('warning' in json);
});
