import { createHmac, randomBytes } from 'node:crypto';
import { sign as octokitSign } from '@octokit/webhooks-methods';
import type pg from 'pg';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { startCli } from '../helpers/cli.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const newKey = () => randomBytes(32).toString('base64');
const hub = (secret: string, body: string | Buffer) =>
  `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`;
const SEALED = /^sealed:v1:[0-9a-f]{8}:/;

/** Every secret that the table holds, as it is stored. */
async function storedSecrets(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query(`
    select stored from posthorn.subscriptions s
    cross join lateral (
      select s.secret as stored
      union all select s.verify_secret
      union all select one ->> 'secret' from jsonb_array_elements(s.retired_secrets) as one
    ) as secrets
    where stored is not null order by s.id`);
  return rows.map((row) => row.stored);
}

/** A log whose lines can be read. */
function recordingLog() {
  const lines: Record<string, unknown>[] = [];
  const log = pino(
    { level: 'info' },
    { write: (line: string) => void lines.push(JSON.parse(line)) },
  );
  return { log, lines };
}

async function rotateEncryption(t: Test, databaseUrl: string, keys: string) {
  const cli = await startCli(t, ['keys', 'rotate-encryption'], {
    DATABASE_URL: databaseUrl,
    POSTHORN_ENCRYPTION_KEY: keys,
  });
  return { code: await cli.exited, ...cli.output };
}

t.test('with a key, no route stores a secret as plain text', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_ENCRYPTION_KEY: newKey() });
  const client = await connect(t, posthorn.databaseUrl);
  const id = await posthorn.subscribe(receiver.url, 'canary-1');
  await posthorn.request('PUT', '/subscriptions/updatesubscription', { id, secret: 'canary-2' });
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    secret: 'canary-3',
    verify: { scheme: 'github', secret: 'canary-4' },
  });
  await posthorn.request('POST', `/v1/subscriptions/${json.id}/rotate-secret`, {
    secret: 'canary-5',
  });
  await posthorn.request('PATCH', `/v1/subscriptions/${json.id}`, {
    verify: { scheme: 'shopify', secret: 'canary-6' },
  });
  await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    signature_scheme: 'ed25519',
  });
  const stored = await storedSecrets(client);
  t.equal(stored.length, 5);
  for (const one of stored) t.match(one, SEALED);
  t.notMatch(stored.join(), /canary|whsk_/);

  const body = '{"a":1}';
  await posthorn.ingest(id, body, { 'x-hub-signature-256': hub('canary-2', body) });
  const [request] = await receiver.waitFor(1);
  t.equal(
    request?.headers['x-hub-signature-256'],
    hub('canary-2', body),
    'and it signs all the same',
  );
});

t.test('a secret that is copied to another subscription cannot be decrypted there', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t, { POSTHORN_ENCRYPTION_KEY: newKey() });
  const client = await connect(t, posthorn.databaseUrl);
  const victim = await posthorn.subscribe(receiver.url, 'the victims');
  const thief = await posthorn.subscribe(receiver.url, 'mine');
  await client.query(
    `update posthorn.subscriptions set secret = (select secret from posthorn.subscriptions where id = $1)
     where id = $2`,
    [victim, thief],
  );
  const reply = await until('the change is known', async () => {
    const reply = await posthorn.request('POST', `/ingest/${thief}`, '{}', {
      'x-hub-signature-256': hub('the victims', '{}'),
    });
    return reply.status !== 401 && reply;
  });
  t.equal(reply.status, 503);
  t.match(reply.json.detail, /copied from another row/);
});

t.test('without a key secrets are plain text, and the log says so once at the start', async (t) => {
  const { log, lines } = recordingLog();
  const posthorn = await startTestService(t, {}, log);
  await posthorn.subscribe('https://example.com', 'plain');
  const client = await connect(t, posthorn.databaseUrl);
  t.strictSame(await storedSecrets(client), ['plain']);
  const said = lines.filter(({ msg }) => /POSTHORN_ENCRYPTION_KEY/.test(String(msg)));
  t.match(said, [{ level: 30, msg: /stored in plain text/ }]);
  t.equal(said.length, 1);
});

t.test(
  'if the key of a secret is missing, the start and each attempt say so, and nothing is sent unsigned',
  async (t) => {
    const receiver = await startReceiver(t);
    const databaseUrl = await createTestDatabase(t);
    const key = newKey();
    const first = await startTestService(t, {
      DATABASE_URL: databaseUrl,
      POSTHORN_ENCRYPTION_KEY: key,
    });
    const id = await first.subscribe(receiver.url, 'lost');
    const stored = (await storedSecrets(await connect(t, databaseUrl)))[0] ?? '';
    const keyId = stored.split(':')[2] ?? '';
    await first.service.stop();

    const { log, lines } = recordingLog();
    const second = await startTestService(
      t,
      {
        DATABASE_URL: databaseUrl,
        POSTHORN_ENCRYPTION_KEY: newKey(),
        POSTHORN_RETRY_SCHEDULE: '1d',
      },
      log,
    );
    const warning = await until('the secrets are checked', async () =>
      lines.find(({ level }) => level === 40),
    );
    t.match(warning, { key: keyId, secrets: 1, msg: /POSTHORN_ENCRYPTION_KEY does not contain/ });
    const refused = await second.request('POST', `/ingest/${id}`, '{}', {
      'x-hub-signature-256': hub('lost', '{}'),
    });
    t.equal(refused.status, 503);
    t.match(
      refused.json.detail,
      new RegExp(`encrypted with the key ${keyId}, which POSTHORN_ENCRYPTION_KEY`),
    );
    const shown = await second.request('GET', `/v1/subscriptions/${id}`);
    t.match(shown.json.problem, new RegExp(`^its secret cannot be read: .* the key ${keyId}`));
    // What is sent by type is accepted, and waits for its key.
    await second.request('PATCH', `/v1/subscriptions/${id}`, { event_types: null });
    await second.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
    const [attempt] = await until('it was tried', async () => {
      const { json } = await second.request('GET', '/logs/deliverylogs');
      return json.length > 0 && json;
    });
    t.match(attempt, {
      status: 'failed',
      error_code: 'subscription',
      error: new RegExp(
        `^Not sent: .*its secret cannot be read: it is encrypted with the key ${keyId}`,
      ),
    });
    t.equal(receiver.received.length, 0);

    const rotated = await second.request('POST', `/v1/subscriptions/${id}/rotate-secret`, {
      secret: 'found',
    });
    t.equal(rotated.status, 200, 'a new secret is the way out');
    t.equal(rotated.json.previous_valid_until, null);
    t.equal((await second.request('GET', `/v1/subscriptions/${id}`)).json.problem, null);
    await second.ingest(id, '{}', { 'x-hub-signature-256': hub('found', '{}') });
    await receiver.waitFor(1);
  },
);

t.test(
  'the key can be changed in four steps while services run, without losing a webhook',
  async (t) => {
    const receiver = await startReceiver(t);
    const databaseUrl = await createTestDatabase(t);
    const [old, young] = [newKey(), newKey()];
    const start = (keys: string | undefined) =>
      startTestService(t, {
        DATABASE_URL: databaseUrl,
        ...(keys === undefined ? {} : { POSTHORN_ENCRYPTION_KEY: keys }),
      });
    const client = await connect(t, databaseUrl);
    const plain = await start(undefined);
    const ids = await Promise.all(
      Array.from({ length: 450 }, (_, n) => plain.subscribe(receiver.url, `secret-${n}`)),
    );
    const sources = await plain.request('POST', '/v1/subscriptions', {
      url: receiver.url,
      event_types: [],
      secret: 'before',
      verify: { scheme: 'github', secret: 'inbound' },
    });
    await plain.request('POST', `/v1/subscriptions/${sources.json.id}/rotate-secret`, {
      secret: 'after',
    });
    await plain.service.stop();

    const encrypted = await start(old);
    const first = await rotateEncryption(t, databaseUrl, old);
    t.match(first, {
      code: 0,
      stdout: /^451 subscriptions encrypted anew, under the key [0-9a-f]{8}\.\n$/,
    });
    const stored = await storedSecrets(client);
    t.equal(stored.length, 453);
    for (const one of stored) if (!SEALED.test(one)) t.fail(`${one} is plain`);
    await encrypted.service.stop();

    const between = await start(`${young},${old}`);
    const running = Array.from({ length: 50 }, (_, n) =>
      between.request('PATCH', `/v1/subscriptions/${ids[n]}`, { secret: `changed-${n}` }),
    );
    const second = await rotateEncryption(t, databaseUrl, `${young},${old}`);
    t.equal(second.code, 0, second.stderr);
    for (const { status } of await Promise.all(running)) t.equal(status, 200);
    const again = await rotateEncryption(t, databaseUrl, `${young},${old}`);
    t.match(again.stdout, /^0 subscriptions/, 'what is current is left alone');
    await between.service.stop();

    const last = await start(young);
    const expected = (n: number) => (n < 50 ? `changed-${n}` : `secret-${n}`);
    for (const n of [0, 49, 50, 199, 200, 449]) {
      const body = `{"n":${n}}`;
      await last.ingest(ids[n] as number, body, { 'x-hub-signature-256': hub(expected(n), body) });
    }
    await last.ingest(sources.json.id, '{}', {
      'x-hub-signature-256': await octokitSign('inbound', '{}'),
    });
    const received = await receiver.waitFor(7);
    const source = received.find(({ body }) => body.toString() === '{}');
    t.equal(source?.headers['x-hub-signature-256'], hub('after', '{}'));
    t.equal(
      String(source?.headers['webhook-signature']).split(' ').length,
      2,
      'the overlap goes on',
    );
  },
);

t.test('rotate-encryption reports unreadable secrets, and encrypts the others', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const posthorn = await startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_ENCRYPTION_KEY: newKey(),
  });
  const lost = await posthorn.subscribe('https://example.com', 'lost');
  const client = await connect(t, databaseUrl);
  await client.query(
    `insert into posthorn.subscriptions (url, secret) values ('https://example.com', 'by SQL')`,
  );
  const { code, stdout, stderr } = await rotateEncryption(t, databaseUrl, newKey());
  t.equal(code, 1);
  t.match(stdout, /^1 subscriptions/);
  t.match(stderr, new RegExp(`Subscription ${lost} was left as it is: .*does not contain`));
  t.match(
    stderr,
    /posthorn: 1 subscriptions have secrets that cannot be read\. Add the missing key/,
  );
  t.notMatch(stderr, /lost/);

  const none = await rotateEncryption(t, databaseUrl, '');
  t.match(none, { code: 1, stderr: /POSTHORN_ENCRYPTION_KEY is not set.*openssl rand -base64 32/ });
});
