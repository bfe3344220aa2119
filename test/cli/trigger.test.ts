import { webcrypto } from 'node:crypto';
import { createRequire } from 'node:module';
import { verify as octokitVerify } from '@octokit/webhooks-methods';
import { Ajv } from 'ajv';
import addFormats from 'ajv-formats';
import Stripe from 'stripe';
import t, { type Test } from 'tap';
import { SAMPLE_EVENTS, withFields } from '../../src/cli/trigger/catalogue.ts';
import { bodyOf, signAsSlack } from '../../src/cli/trigger/sample.ts';
import { createVerifier, type VerifyScheme } from '../../src/signing/verify/schemes.ts';
import { sourceOf } from '../../src/signing/verify/sources.ts';
import { startCli } from '../helpers/cli.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';

const SECRET = "It's a Secret to Everybody";
const ADMIN = 'an admin key of some length';
const providerOf = (event: string) => event.slice(0, event.indexOf('.')) as VerifyScheme;

async function run(t: Test, args: string[], env: Record<string, string> = {}) {
  const cli = await startCli(t, ['trigger', ...args], env);
  const code = await cli.exited;
  return { code, ...cli.output };
}

t.test('samples of GitHub have all that its schemas require, and nothing else', async (t) => {
  const schema = createRequire(import.meta.url)('@octokit/webhooks-schemas');
  const ajv = new Ajv({ strict: false, validateSchema: false, inlineRefs: false });
  (addFormats as unknown as (ajv: Ajv) => void)(ajv);
  ajv.addSchema(schema, 'github');
  const samples = SAMPLE_EVENTS.filter(({ event }) => providerOf(event) === 'github');
  t.ok(samples.length >= 7);
  for (const { event, make } of samples) {
    const { fields, headers } = make(new Date());
    // As in push$event, or issues$opened.
    const name = `${headers['X-GitHub-Event']}$${fields.action ?? 'event'}`;
    const validate = ajv.getSchema(`github#/definitions/${name}`);
    t.ok(validate, event);
    t.ok(validate?.(fields), `${event}: ${ajv.errorsText(validate?.errors)}`);
  }
});

t.test('events of Stripe are named by their type, and are about an object', async (t) => {
  for (const { event, make } of SAMPLE_EVENTS) {
    if (providerOf(event) !== 'stripe') continue;
    const { fields } = make(new Date());
    t.match(fields, {
      object: 'event',
      type: event.slice('stripe.'.length),
      livemode: false,
      data: { object: { id: /^[a-z_]+_[0-9a-z]{24}$/, object: /./ } },
    });
  }
});

t.test("each sample has a signature that its provider's own check accepts", async (t) => {
  const { webhooks } = new Stripe('sk_test_x');
  const key = await webcrypto.subtle.importKey(
    'raw',
    new TextEncoder().encode(SECRET),
    { name: 'HMAC', hash: 'SHA-256' },
    false,
    ['verify'],
  );
  const accepts: Partial<
    Record<VerifyScheme, (body: string, headers: Record<string, string>) => unknown>
  > = {
    github: (body, headers) => octokitVerify(SECRET, body, headers['X-Hub-Signature-256'] ?? ''),
    stripe: (body, headers) =>
      webhooks.constructEvent(body, headers['Stripe-Signature'] ?? '', SECRET).object === 'event',
    shopify: (body, headers) =>
      webcrypto.subtle.verify(
        'HMAC',
        key,
        Buffer.from(headers['X-Shopify-Hmac-Sha256'] ?? '', 'base64'),
        Buffer.from(body),
      ),
    // Slack's library needs a whole application. The example of its documentation is checked below.
    slack: () => true,
  };
  for (const { event, make, sign } of SAMPLE_EVENTS) {
    const scheme = providerOf(event);
    const now = new Date();
    const body = bodyOf(make(now));
    const headers = sign(SECRET, body, now);
    t.ok(await accepts[scheme]?.(String(body), headers), event);
    const lower = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]),
    );
    t.equal(createVerifier({ scheme }, SECRET).check(lower, body, now.getTime()), null, event);
  }
});

t.test("Slack's signature is that of its documentation", async (t) => {
  const body =
    'token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c';
  const at = new Date(1_531_420_618_000);
  t.strictSame(signAsSlack('8f742231b10e8888abcd99yyyzzz85a5', Buffer.from(body), at), {
    'X-Slack-Request-Timestamp': '1531420618',
    'X-Slack-Signature': 'v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503',
  });
});

t.test('two samples of an event are different webhooks', async (t) => {
  const now = new Date();
  for (const { event, make } of SAMPLE_EVENTS) {
    // The object of an uninstalled app is the shop, and a command has no id.
    if (event === 'shopify.app/uninstalled' || event === 'slack.slash_command') continue;
    const [one, other] = [make(now), make(now)];
    t.notSame({ ...one }, { ...other }, event);
  }
});

t.test('a sample is posted to a URL, and its answer is shown', async (t) => {
  const receiver = await startReceiver(t, (response, request) => {
    response.statusCode = request.path === '/refuses' ? 400 : 200;
    response.end(`thanks\u001b[31m${'!'.repeat(5000)}`);
  });
  const hook = ['--to', `${receiver.url}/hook`, '--secret', SECRET];
  const set = ['--set', 'ref="refs/heads/x"', '--set', 'commits.0.message="Mend it"'];
  const pushed = await run(t, ['github.push', ...hook, ...set]);
  t.equal(pushed.code, 0, pushed.stderr);
  t.match(pushed.stdout, /^github\.push → http.*\/hook {2}200 {2}\d+ ms\nthanks \[31m!+\n$/);
  t.ok(pushed.stdout.length < 1200, 'the beginning of the answer');
  const [request] = await receiver.waitFor(1);
  const body = String(request?.body);
  t.match(request?.headers, {
    'content-type': 'application/json',
    'user-agent': /^GitHub-Hookshot\/[0-9a-f]{7}$/,
    'x-github-event': 'push',
    'x-github-delivery': /^[0-9a-f-]{36}$/,
  });
  t.ok(await octokitVerify(SECRET, body, String(request?.headers['x-hub-signature-256'])));
  t.match(JSON.parse(body), { ref: 'refs/heads/x', commits: [{ message: 'Mend it' }] });

  const form = await run(t, ['slack.block_actions', ...hook.slice(0, 2), '--json']);
  t.match(JSON.parse(form.stdout), { event: 'slack.block_actions', status_code: 200 });
  const [, slack] = await receiver.waitFor(2);
  t.equal(slack?.headers['content-type'], 'application/x-www-form-urlencoded');
  t.equal(slack?.headers['x-slack-signature'], undefined, 'without a secret it is not signed');
  const { payload = '' } = Object.fromEntries(new URLSearchParams(String(slack?.body)));
  t.match(JSON.parse(payload), { type: 'block_actions', actions: [{ value: '7' }] });

  const refused = await run(t, ['stripe.invoice.paid', '--to', `${receiver.url}/refuses`]);
  t.match(refused, { code: 1, stdout: / 400 / });
});

t.test('a sample is handed in for a subscription that verifies its provider', async (t) => {
  const receiver = await startReceiver(t);
  const { url, request } = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN });
  const env = { POSTHORN_URL: url, POSTHORN_KEY: ADMIN };
  const events = ['github.push', 'stripe.customer.created', 'shopify.orders/create'];
  for (const [n, event] of [...events, 'slack.slash_command'].entries()) {
    const scheme = providerOf(event);
    const { status, json, text } = await request(
      'POST',
      '/v1/subscriptions',
      {
        url: `${receiver.url}/${scheme}`,
        event_types: [],
        generate_secret: true,
        verify: { scheme, secret: SECRET },
        ingest_content_types: sourceOf(scheme).contentTypes,
        forward_headers: sourceOf(scheme).headers,
      },
      { authorization: `Bearer ${ADMIN}` },
    );
    t.equal(status, 201, `${event}: ${status === 201 ? '' : text}`);
    const to = ['--subscription', String(json.id)];
    const sent = await run(t, [event, ...to, '--secret', SECRET], env);
    t.equal(sent.code, 0, sent.stderr);
    t.match(JSON.parse(sent.stdout), { status: 'accepted', subscription_id: json.id });
    const got = (await receiver.waitFor(n + 1)).find(({ path }) => path === `/${scheme}`);
    if (scheme === 'shopify') t.equal(got?.headers['x-shopify-topic'], 'orders/create');
    if (scheme === 'slack') t.match(String(got?.body), /command=%2Forder&text=show\+7/);
    const forged = await run(t, [event, ...to, '--secret', 'another'], env);
    t.match(forged, { code: 4, stderr: /^posthorn: .* answered 401: .*ignature.*\n$|Hmac/ });
  }
  const challenge = await run(
    t,
    ['slack.url_verification', '--subscription', '4', '--secret', SECRET],
    env,
  );
  t.match(challenge, { code: 0, stdout: /[0-9a-f]{52}/ });
});

t.test('wrong calls end with the documented exit code and one line', async (t) => {
  const to = ['--to', 'http://127.0.0.1:1/'];
  const cases: readonly [code: number, says: RegExp, ...args: string[]][] = [
    [2, /Give an event, such as github\.push/],
    [2, /no sample of "github\.pus"\. Those of github are github\.ping, /, 'github.pus', ...to],
    [2, /no sample of "gitlab\.push"\. .*--list shows all/, 'gitlab.push', ...to],
    [2, /Give a URL with --to, or the id/, 'github.push'],
    [2, /Give a URL with --to, or the id/, 'github.push', ...to, '--subscription', '1'],
    [2, /--to is "ftp:\/\/x"/, 'github.push', '--to', 'ftp://x'],
    [2, /The argument <subscription> is "x"/, 'github.push', '--subscription', 'x'],
    [2, /--secret is empty/, 'github.push', ...to, '--secret', ''],
    [2, /--set is "id=x"/, 'github.push', ...to, '--set', 'id=x'],
    [2, /the sample has no field a\.b\./, 'github.push', ...to, '--set', 'a.b=1'],
    [5, /Nothing answers at http:\/\/127\.0\.0\.1:1\/ \(/, 'github.push', ...to],
    [5, /No Posthorn answers at/, 'github.push', '--subscription', '1'],
  ];
  for (const [code, says, ...args] of cases) {
    const ended = await run(t, args, { POSTHORN_URL: 'http://127.0.0.1:1' });
    t.match(ended, { code, stdout: '', stderr: says }, args.join(' '));
    t.match(ended.stderr, /^posthorn: .+\n$/, 'one line');
  }
  const listed = await run(t, ['--list', '--json']);
  t.equal(JSON.parse(listed.stdout).length, SAMPLE_EVENTS.length);
  t.match(
    (await run(t, ['--list'])).stdout,
    /^event +about\ngithub\.ping +a webhook was created\n/,
  );
});

t.test('--set replaces a field, adds one, and leaves the sample itself alone', async (t) => {
  const sample = { fields: { a: { b: [1, 2] } }, encoding: 'json' as const, headers: {} };
  const changed = withFields(sample, [
    ['a.b.1', 7],
    ['c', null],
    ['__proto__', { x: 1 }],
  ]);
  t.equal(String(bodyOf(changed)), '{"a":{"b":[1,7]},"c":null,"__proto__":{"x":1}}');
  t.strictSame(sample.fields, { a: { b: [1, 2] } });
  t.throws(() => withFields(sample, [['__proto__.x', 1]]), RangeError);
});
