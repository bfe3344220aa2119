import { createHmac, createPublicKey, verify } from 'node:crypto';
import { Webhook as StandardWebhook } from 'standardwebhooks';
import { Webhook as SvixWebhook } from 'svix';
import t, { type Test } from 'tap';
import { connect } from '../helpers/database.ts';
import { type ReceivedRequest, startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';

const hub = (secret: string, body: string | Buffer) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;

async function start(t: Test) {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  let sent = 0;
  return {
    receiver,
    posthorn,
    /** Creates a subscription for all types and gives the answer. */
    async create(fields: object = {}) {
      const { status, json, text } = await posthorn.request('POST', '/v1/subscriptions', {
        url: receiver.url,
        ...fields,
      });
      if (status !== 201) throw new Error(text);
      return json;
    },
    /** Sends a webhook to all, and gives the request that the one receiver got for it. */
    async deliver(): Promise<ReceivedRequest> {
      await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: { n: sent } });
      sent += 1;
      return (await receiver.waitFor(sent))[sent - 1] as ReceivedRequest;
    },
  };
}

function rotate(posthorn: TestService, id: number, body?: object) {
  return posthorn.request('POST', `/v1/subscriptions/${id}/rotate-secret`, body);
}

function libraryTakes(secret: string, { headers, body }: ReceivedRequest): boolean {
  try {
    new StandardWebhook(secret).verify(body, headers as Record<string, string>);
    new SvixWebhook(secret).verify(body, headers as Record<string, string>);
    return true;
  } catch {
    return false;
  }
}

/** Whether one of the v1a signatures is that of the key, as a receiver would find out. */
function keyTakes(publicKey: string, { headers, body }: ReceivedRequest): boolean {
  const x = Buffer.from(publicKey.slice('whpk_'.length), 'base64').toString('base64url');
  const key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
  const content = Buffer.concat([
    Buffer.from(`${headers['webhook-id']}.${headers['webhook-timestamp']}.`),
    body,
  ]);
  return String(headers['webhook-signature'])
    .split(' ')
    .filter((one) => one.startsWith('v1a,'))
    .some((one) => verify(null, content, key, Buffer.from(one.slice(4), 'base64')));
}

t.test('a secret is generated on request, shown once, and signs', async (t) => {
  const { posthorn, create, deliver } = await start(t);
  const { id, secret, ...subscription } = await create({ generate_secret: true });
  t.match(secret, /^whsec_[A-Za-z0-9+/]{43}=$/);
  t.match(subscription, { has_secret: true, signature_scheme: 'hmac', secret_overlap_until: null });
  t.ok(libraryTakes(secret, await deliver()));
  const shown = await posthorn.request('GET', `/v1/subscriptions/${id}`);
  t.notMatch(shown.text, secret.slice('whsec_'.length));
  t.strictSame(Object.keys(shown.json).includes('secret'), false);
});

t.test(
  'after a rotation both secrets sign until the overlap ends, the new one first',
  async (t) => {
    const { posthorn, create, deliver } = await start(t);
    const { id, secret: first } = await create({ generate_secret: true });
    await deliver();
    const { status, json } = await rotate(posthorn, id);
    t.equal(status, 200);
    const { secret: second } = json;
    t.match(second, /^whsec_/);
    t.not(first, second);
    const untilMs = Date.parse(json.previous_valid_until);
    t.ok(Math.abs(untilMs - Date.now() - 86_400_000) < 60_000, '24 hours, if nothing is said');
    const shown = (await posthorn.request('GET', `/v1/subscriptions/${id}`)).json;
    t.equal(shown.secret_overlap_until, json.previous_valid_until);

    const request = await deliver();
    t.ok(libraryTakes(first, request) && libraryTakes(second, request));
    const [one = '', two = '', ...more] = String(request.headers['webhook-signature']).split(' ');
    t.strictSame(more, []);
    const only = (signature: string) => ({
      ...request,
      headers: { ...request.headers, 'webhook-signature': signature },
    });
    t.ok(libraryTakes(second, only(one)), 'the new one is first');
    t.ok(libraryTakes(first, only(two)));
    t.equal(request.headers['x-hub-signature-256'], hub(second, request.body));

    // The overlap ends now, as if its time had come.
    const client = await connect(t, posthorn.databaseUrl);
    await client.query(`
    update posthorn.subscriptions
    set retired_secrets = jsonb_set(retired_secrets, '{0,until}', to_jsonb(now() - interval '1 second'))`);
    // A change by the API: the next delivery knows it.
    await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { description: 'later' });
    const later = await deliver();
    t.ok(libraryTakes(second, later));
    t.notOk(libraryTakes(first, later));
    t.equal(
      (await posthorn.request('GET', `/v1/subscriptions/${id}`)).json.secret_overlap_until,
      null,
    );
  },
);

t.test('a rotation accepts a given secret, and does not show it', async (t) => {
  const { posthorn, create, deliver } = await start(t);
  const { id } = await create({ secret: 'one' });
  const { json, text } = await rotate(posthorn, id, { secret: 'the-other', overlap: '0s' });
  t.notMatch(text, 'the-other');
  t.strictSame(Object.keys(json), ['id', 'signature_scheme', 'warning', 'previous_valid_until']);
  t.equal(json.previous_valid_until, null);
  const { headers, body } = await deliver();
  t.equal(headers['x-hub-signature-256'], hub('the-other', body));
  t.equal(
    String(headers['webhook-signature']).split(' ').length,
    1,
    '0s: the old one signs no more',
  );
});

t.test('each secret signs until its own overlap ends, and "0s" ends all', async (t) => {
  const { posthorn, create, deliver } = await start(t);
  const { id, secret } = await create({ generate_secret: true });
  const secrets = [secret];
  for (let n = 0; n < 5; n++)
    secrets.push((await rotate(posthorn, id, { overlap: '1h' })).json.secret);
  const request = await deliver();
  for (const one of secrets) t.ok(libraryTakes(one, request));
  const sixth = await rotate(posthorn, id, { overlap: '1h' });
  t.equal(sixth.status, 400);
  t.match(sixth.json.errors, [{ field: 'body.overlap', message: /5 earlier secrets still sign/ }]);
  t.ok(libraryTakes(secrets.at(-1), await deliver()), 'the refused rotation changed nothing');
  const { json } = await rotate(posthorn, id, { overlap: '0s' });
  const last = await deliver();
  t.ok(libraryTakes(json.secret, last));
  for (const one of secrets) t.notOk(libraryTakes(one, last));
});

t.test('intake accepts signatures of both secrets during an overlap', async (t) => {
  const { posthorn, create } = await start(t);
  const { id } = await create({ secret: 'before', event_types: [] });
  await rotate(posthorn, id, { secret: 'after', overlap: '1h' });
  const ingest = async (secret: string) =>
    (
      await posthorn.request('POST', `/ingest/${id}`, '{}', {
        'x-hub-signature-256': hub(secret, '{}'),
      })
    ).status;
  t.equal(await ingest('before'), 202);
  t.equal(await ingest('after'), 202);
  t.equal(await ingest('another'), 401);
  await rotate(posthorn, id, { secret: 'last', overlap: '0s' });
  t.equal(await ingest('after'), 401);
  t.equal(await ingest('last'), 202);
});

t.test('a secret that PATCH sets or removes takes effect at once, overlaps included', async (t) => {
  const { posthorn, create, deliver } = await start(t);
  const { id, secret: first } = await create({ generate_secret: true });
  const { secret: second } = (await rotate(posthorn, id)).json;
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { secret: 'plain' });
  const request = await deliver();
  t.equal(request.headers['x-hub-signature-256'], hub('plain', request.body));
  t.notOk(libraryTakes(first, request) || libraryTakes(second, request));
  await rotate(posthorn, id);
  await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { secret: null });
  const { headers } = await deliver();
  t.notOk('webhook-signature' in headers || 'x-hub-signature-256' in headers);
});

t.test('Ed25519: receivers verify with the public key that is served', async (t) => {
  const { posthorn, create, deliver } = await start(t);
  const { id, ...created } = await create({ signature_scheme: 'ed25519' });
  t.match(created, { has_secret: true, signature_scheme: 'ed25519' });
  t.notOk('secret' in created);
  const publicKeyOf = async () =>
    (await posthorn.request('GET', `/v1/subscriptions/${id}/public-key`)).json;
  const { public_key: first, previous } = await publicKeyOf();
  t.match(first, /^whpk_[A-Za-z0-9+/]{43}=$/);
  t.strictSame(previous, []);
  const request = await deliver();
  t.ok(keyTakes(first, request));
  t.notOk('x-hub-signature-256' in request.headers, 'a key pair makes no HMAC');

  const rotated = await rotate(posthorn, id, { overlap: '1h' });
  t.notMatch(rotated.text, /whsk_/);
  const keys = await publicKeyOf();
  t.equal(keys.public_key, rotated.json.public_key);
  t.match(keys.previous, [{ public_key: first, valid_until: rotated.json.previous_valid_until }]);
  const both = await deliver();
  t.ok(keyTakes(first, both) && keyTakes(keys.public_key, both));
});

t.test(
  'a change from a secret to a key pair and back leaves every webhook verifiable',
  async (t) => {
    const { posthorn, create, deliver } = await start(t);
    const { id, secret } = await create({ generate_secret: true });
    const there = await rotate(posthorn, id, { signature_scheme: 'ed25519' });
    const request = await deliver();
    t.ok(libraryTakes(secret, request), 'libraries skip what they do not know');
    t.ok(keyTakes(there.json.public_key, request));
    const back = await rotate(posthorn, id, { signature_scheme: 'hmac' });
    const last = await deliver();
    t.ok(libraryTakes(back.json.secret, last) && keyTakes(there.json.public_key, last));
    const none = await posthorn.request('GET', `/v1/subscriptions/${id}/public-key`);
    t.equal(none.status, 404);
    t.match(none.json.detail, /does not sign with Ed25519.*rotate-secret/);
  },
);

t.test(
  'deliveries have the custom signature header of the templates, and the templates can change',
  async (t) => {
    const { posthorn, create, deliver } = await start(t);
    const { id, ...created } = await create({
      secret: 'key',
      headers: { 'x-acme-signature': 'not this', 'x-other': 'kept' },
      signature_header: 'X-Acme-Signature',
      signature_template: 't={timestamp},v1={hex}',
      signature_content: '{timestamp}.{body}',
    });
    t.match(created, {
      signature_header: 'X-Acme-Signature',
      signature_content: '{timestamp}.{body}',
    });
    const { headers, body } = await deliver();
    const timestamp = headers['webhook-timestamp'];
    const mac = createHmac('sha256', 'key').update(`${timestamp}.${body}`).digest('hex');
    t.equal(headers['x-acme-signature'], `t=${timestamp},v1=${mac}`);
    t.ok(headers['webhook-signature'] && headers['x-hub-signature-256']);
    await posthorn.request('PATCH', `/v1/subscriptions/${id}`, {
      signature_template: null,
      signature_content: null,
    });
    const second = await deliver();
    t.equal(`sha256=${second.headers['x-acme-signature']}`, hub('key', second.body));
    await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { signature_header: null });
    const third = await deliver();
    t.not(`sha256=${third.headers['x-acme-signature']}`, hub('key', third.body));
  },
);

t.test('an invalid signature option is refused with the field and the reason', async (t) => {
  const { posthorn, create } = await start(t);
  const { id } = await create({ secret: 'x' });
  const url = 'https://example.com';
  const whsk = `whsk_${Buffer.alloc(32, 7).toString('base64')}`;
  const CREATE = '/v1/subscriptions';
  const ROTATE = `/v1/subscriptions/${id}/rotate-secret`;
  const cases: [path: string, body: object, field: string, says: RegExp][] = [
    [CREATE, { url, secret: 'whsec_c2hvcnQ=' }, 'body.secret', /5 bytes .* 24 to 64/],
    [CREATE, { url, secret: 'whsk_c2hvcnQ=' }, 'body.secret', /5 bytes .* has 32, or 64/],
    [CREATE, { url, secret: 'sealed:v1:0:0' }, 'body.secret', /begins with sealed:/],
    [
      CREATE,
      { url, secret: 'x', generate_secret: true },
      'body.generate_secret',
      /secret is given/,
    ],
    [
      CREATE,
      { url, secret: 'x', signature_scheme: 'ed25519' },
      'body.signature_scheme',
      /not a whsk_ private key/,
    ],
    [
      CREATE,
      { url, secret: whsk, signature_scheme: 'hmac' },
      'body.signature_scheme',
      /is a whsk_ private key/,
    ],
    [CREATE, { url, signature_scheme: 'rsa' }, 'body.signature_scheme', /hmac, ed25519/],
    [CREATE, { url, signature_header: 'X Acme' }, 'body.signature_header', /not a header name/],
    [CREATE, { url, signature_header: 'x:y' }, 'body.signature_header', /not a header name/],
    ...[
      'Content-Length',
      'content-md5',
      'Connection',
      'Transfer-Encoding',
      'Host',
      'webhook-id',
      'Webhook-Other',
      'X-Hub-Signature-256',
      'User-Agent',
      'Content_Length',
      'Webhook_Other',
      'X_Forwarded_For',
      'user.agent',
    ].map((name): [string, object, string, RegExp] => [
      CREATE,
      { url, signature_header: name },
      'body.signature_header',
      /set by Posthorn or belongs to the connection/,
    ]),
    [CREATE, { url, signature_template: 'x' }, 'body.signature_template', /neither \{hex\}/],
    [
      CREATE,
      { url, signature_template: '{hx}{hex}' },
      'body.signature_template',
      /\{hx\} is not known/,
    ],
    [CREATE, { url, signature_content: '{timestamp}' }, 'body.signature_content', /no \{body\}/],
    [
      CREATE,
      { url, signature_template: '{hex}' },
      'body.signature_template',
      /needs a signature_header/,
    ],
    [ROTATE, { overlap: 'long' }, 'body.overlap', /not a duration/],
    [ROTATE, { overlap: '31d' }, 'body.overlap', /at most 30d/],
    [ROTATE, { secret: '' }, 'body.secret', /empty/],
    [ROTATE, { secret: 'x', signature_scheme: 'ed25519' }, 'body.signature_scheme', /not a whsk_/],
    [ROTATE, { secrt: 'x' }, 'body.secrt', /known fields are secret, overlap, signature_scheme/],
  ];
  for (const [path, body, field, says] of cases) {
    const { status, json } = await posthorn.request('POST', path, body);
    t.equal(status, 400, JSON.stringify(body));
    t.match(json.errors, [{ field, message: says }], JSON.stringify(body));
  }
  for (const [method, path] of [
    ['POST', '/v1/subscriptions/999/rotate-secret'],
    ['GET', '/v1/subscriptions/999/public-key'],
  ] as const)
    t.equal((await posthorn.request(method, path)).status, 404);
});

t.test('secrets are forgotten with their subscription, by an older version too', async (t) => {
  const { posthorn, create } = await start(t);
  const verify = { scheme: 'github', secret: 'inbound' };
  const ids = [await create({ secret: 'a', verify }), await create({ secret: 'b', verify })];
  for (const { id } of ids) await rotate(posthorn, id);
  const [mine, older] = ids;
  await posthorn.request('DELETE', `/v1/subscriptions/${mine.id}`);
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(
    'update posthorn.subscriptions set deleted_at = now(), secret = null where id = $1',
    [older.id],
  );
  const { rows } = await client.query(
    'select secret, retired_secrets, verify, verify_secret from posthorn.subscriptions',
  );
  const nothing = { secret: null, retired_secrets: null, verify: null, verify_secret: null };
  t.strictSame(rows, [nothing, nothing]);
});
