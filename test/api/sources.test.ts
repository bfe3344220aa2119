import { createHmac } from 'node:crypto';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import Stripe from 'stripe';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const ADMIN_KEY = 'an admin key of some length';
const AUTHORIZED = { authorization: `Bearer ${ADMIN_KEY}` };

async function start(t: Test) {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY });
  return {
    receiver,
    posthorn,
    async subscribe(fields: object): Promise<number> {
      const { status, json, text } = await posthorn.request(
        'POST',
        '/v1/subscriptions',
        { url: receiver.url, event_types: [], ...fields },
        AUTHORIZED,
      );
      if (status !== 201) throw new Error(text);
      return json.id;
    },
    /** Hands a webhook in as a source does: without a key. */
    ingest: (id: number, body: string, headers: Record<string, string>) =>
      posthorn.request('POST', `/ingest/${id}`, body, headers),
  };
}

const SECRET = "It's a Secret to Everybody";
const WHSEC = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
const BODY = '{ "zen": "Keep it logically awesome." }';
const mac = (algorithm: string, secret: string, content: string) =>
  createHmac(algorithm, secret).update(content);

/** How each source signs the body, as its own library does it where there is one. */
const SOURCES: [
  verify: { scheme: string; secret: string; [option: string]: string },
  sign: () => Promise<Record<string, string>>,
][] = [
  [
    { scheme: 'github', secret: SECRET },
    async () => ({ 'X-Hub-Signature-256': await octokitSign(SECRET, BODY) }),
  ],
  [
    { scheme: 'stripe', secret: 'whsec_text' },
    async () => {
      const { webhooks } = new Stripe('sk_test_x');
      const header = webhooks.generateTestHeaderString({ payload: BODY, secret: 'whsec_text' });
      return { 'Stripe-Signature': header };
    },
  ],
  [
    { scheme: 'shopify', secret: SECRET },
    async () => ({ 'X-Shopify-Hmac-SHA256': mac('sha256', SECRET, BODY).digest('base64') }),
  ],
  [
    { scheme: 'slack', secret: SECRET },
    async () => {
      const timestamp = String(Math.floor(Date.now() / 1000));
      const signature = mac('sha256', SECRET, `v0:${timestamp}:${BODY}`).digest('hex');
      return {
        'X-Slack-Signature': `v0=${signature}`,
        'X-Slack-Request-Timestamp': timestamp,
      };
    },
  ],
  [
    { scheme: 'standard-webhooks', secret: WHSEC },
    async () => {
      const now = new Date();
      return {
        'webhook-id': 'msg_1',
        'webhook-timestamp': String(Math.floor(now.getTime() / 1000)),
        'webhook-signature': new StandardWebhook(WHSEC).sign('msg_1', now, BODY),
      };
    },
  ],
  [
    {
      scheme: 'hmac',
      secret: SECRET,
      header: 'X-Any-Signature',
      algorithm: 'sha512',
      encoding: 'base64',
      prefix: 'v1=',
    },
    async () => ({ 'x-any-signature': `v1=${mac('sha512', SECRET, BODY).digest('base64')}` }),
  ],
];

for (const [verify, sign] of SOURCES) {
  const { scheme } = verify;
  t.test(`${scheme}: what the source signs is taken and delivered, signed by us`, async (t) => {
    const { receiver, posthorn, subscribe, ingest } = await start(t);
    const id = await subscribe({ verify, secret: 'for what is delivered' });
    const headers = await sign();
    t.equal((await ingest(id, BODY, headers)).status, 202);
    const [request] = await receiver.waitFor(1);
    t.equal(request?.body.toString(), BODY);
    t.equal(
      request?.headers['x-hub-signature-256'],
      `sha256=${mac('sha256', 'for what is delivered', BODY).digest('hex')}`,
    );

    const refused = await ingest(id, `${BODY} `, headers);
    t.equal(refused.status, 401, 'another body');
    t.match(refused.json.detail, /[Ss]ignature|Hmac/);
    t.equal((await ingest(id, BODY, {})).status, 401, 'no signature');
    t.equal((await ingest(id, BODY, AUTHORIZED)).status, 401, 'a key is no signature');
    const ours = `sha256=${mac('sha256', 'for what is delivered', BODY).digest('hex')}`;
    t.equal(
      (await ingest(id, BODY, { 'x-hub-signature-256': ours })).status,
      401,
      'the secret of deliveries proves nothing here',
    );

    const shown = await posthorn.request('GET', `/v1/subscriptions/${id}`, undefined, AUTHORIZED);
    const { secret, ...visible } = verify;
    t.strictSame(shown.json.verify, visible);
    t.notMatch(shown.text, secret);
  });
}

t.test(
  'a signed url_verification of Slack gets its challenge back, and is not stored',
  async (t) => {
    const { posthorn, subscribe, ingest } = await start(t);
    const id = await subscribe({ verify: { scheme: 'slack', secret: SECRET } });
    const body = JSON.stringify({ token: 'x', challenge: '3eZbrw1aB', type: 'url_verification' });
    const timestamp = String(Math.floor(Date.now() / 1000));
    const headers = {
      'x-slack-request-timestamp': timestamp,
      'x-slack-signature': `v0=${mac('sha256', SECRET, `v0:${timestamp}:${body}`).digest('hex')}`,
    };
    const reply = await ingest(id, body, headers);
    t.equal(reply.status, 200);
    t.strictSame(reply.json, { challenge: '3eZbrw1aB' });
    t.equal((await ingest(id, body, {})).status, 401);
    const client = await connect(t, posthorn.databaseUrl);
    t.equal((await client.query('select from posthorn.webhook_payloads')).rowCount, 0);
  },
);

t.test('a verification is changed and removed as a whole', async (t) => {
  const { posthorn, subscribe, ingest } = await start(t);
  const id = await subscribe({ verify: { scheme: 'github', secret: SECRET } });
  const patch = (body: object) =>
    posthorn.request('PATCH', `/v1/subscriptions/${id}`, body, AUTHORIZED);
  const github = { 'x-hub-signature-256': await octokitSign(SECRET, BODY) };
  const shopify = { 'x-shopify-hmac-sha256': mac('sha256', 'other', BODY).digest('base64') };
  t.equal((await ingest(id, BODY, github)).status, 202);
  t.match((await patch({ verify: { scheme: 'shopify', secret: 'other' } })).json, {
    verify: { scheme: 'shopify' },
  });
  t.equal((await ingest(id, BODY, github)).status, 401);
  t.equal((await ingest(id, BODY, shopify)).status, 202);
  t.equal((await patch({ verify: null })).json.verify, null);
  t.equal((await ingest(id, BODY, shopify)).status, 401);
  t.equal((await ingest(id, BODY, AUTHORIZED)).status, 202);
});

t.test('a verification that cannot work is refused with the field and the reason', async (t) => {
  const { posthorn } = await start(t);
  const hmac = { scheme: 'hmac', secret: 'x' };
  const cases: [verify: object, field: string, says: RegExp][] = [
    [{ scheme: 'gitlab', secret: 'x' }, 'body.verify.scheme', /github, stripe, shopify/],
    [{ scheme: 'github' }, 'body.verify.secret', /missing/],
    [{ scheme: 'github', secret: '' }, 'body.verify.secret', /1 char/],
    [{ scheme: 'github', secret: 'sealed:v1:0:0' }, 'body.verify.secret', /sealed:/],
    [{ scheme: 'github', secret: 'x', header: 'X' }, 'body.verify.header', /for the scheme hmac/],
    [{ scheme: 'slack', secret: 'x', prefix: '' }, 'body.verify.prefix', /slack has its own/],
    [{ scheme: 'standard-webhooks', secret: 'x' }, 'body.verify.secret', /begin with whsec_/],
    [{ scheme: 'standard-webhooks', secret: 'whsec_eA==' }, 'body.verify.secret', /24 to 64/],
    [{ scheme: 'standard-webhooks', secret: 'whpk_eA==' }, 'body.verify.secret', /32 bytes/],
    [hmac, 'body.verify.header', /missing: name the header/],
    [{ ...hmac, header: 'X Y' }, 'body.verify.header', /not a header name/],
    [{ ...hmac, header: 'X', algorithm: 'md5' }, 'body.verify.algorithm', /sha256, sha512, sha1/],
    [{ ...hmac, header: 'X', encoding: 'base32' }, 'body.verify.encoding', /hex, base64/],
    [{ ...hmac, header: 'X', prefix: 'a b' }, 'body.verify.prefix', /ASCII/],
    [{ ...hmac, header: 'X', secrt: 'x' }, 'body.verify.secrt', /not known/],
  ];
  for (const [verify, field, says] of cases) {
    const { status, json } = await posthorn.request(
      'POST',
      '/v1/subscriptions',
      { url: 'https://example.com', verify },
      AUTHORIZED,
    );
    t.equal(status, 400, JSON.stringify(verify));
    t.ok(
      json.errors.some(
        (error: { field: string; message: string }) =>
          error.field === field && says.test(error.message),
      ),
      `${JSON.stringify(verify)}: ${JSON.stringify(json.errors)}`,
    );
  }
});
