// Secrets and payloads contain unique words (canaries). The test causes many kinds of errors, and then searches
// everything that Posthorn logs, answers and stores for these words.
import { createHmac, randomBytes } from 'node:crypto';
import type pg from 'pg';
import t, { type Test } from 'tap';
import { startCli } from './helpers/cli.ts';
import { connect, createTestDatabase } from './helpers/database.ts';
import { startReceiver } from './helpers/receiver.ts';
import { until } from './helpers/until.ts';

const canary = (name: string) => `canary-${name}-${randomBytes(12).toString('hex')}`;
/** A `whsec_` secret whose bytes are a canary too. */
const whsec = (name: string) => `whsec_${Buffer.from(canary(name)).toString('base64')}`;

const ADMIN_KEY = canary('admin-key');
const ENCRYPTION_KEY = randomBytes(32);
/** Short, because Postgres shortens the values of a row in its errors. */
const PAYLOAD = `pl-${randomBytes(8).toString('hex')}`;

/**
 * The texts that must not appear anywhere. If you add a kind of secret, add it here, and use it in `use`.
 * An API key, for instance, may appear only in the answer that creates it.
 */
const SECRETS: Record<string, string> = {
  adminKey: ADMIN_KEY,
  encryptionKey: ENCRYPTION_KEY.toString('base64'),
  first: canary('first-system'),
  updated: canary('updated'),
  standard: whsec('standard'),
  rotated: canary('rotated'),
  verify: canary('verify'),
  wrong: canary('wrong'),
};
/** Secrets that Posthorn generated, from the answers that showed them. */
const MADE: Record<string, string> = {};

/** The forms in which a secret could be written. */
function formsOf(secret: string): string[] {
  const bytes = [Buffer.from(secret)];
  const base64 =
    /^whsec_(.*)$/.exec(secret)?.[1] ?? (/^[A-Za-z0-9+/]{43}=$/.test(secret) && secret);
  if (base64) bytes.push(Buffer.from(base64, 'base64'));
  return bytes.flatMap((one) => [
    one.toString('latin1'),
    one.toString('hex'),
    one.toString('base64').replace(/=+$/, ''),
    one.toString('base64url'),
  ]);
}

/** Fails for each secret that is in a text, without repeating it. */
function findNone(t: Test, secrets: Record<string, string>, where: string, text: string): void {
  for (const [name, secret] of Object.entries(secrets)) {
    const found = formsOf(secret).some((form) => text.includes(form));
    t.notOk(found, `${name} is not in ${where}`);
  }
}

/** Every table of the database as text, by its name. */
async function dump(client: pg.Client): Promise<Map<string, string>> {
  const { rows: tables } = await client.query(`
    select format('%I.%I', schemaname, tablename) as name from pg_catalog.pg_tables
    where schemaname not in ('pg_catalog', 'information_schema')`);
  const texts = new Map<string, string>();
  for (const { name } of tables) {
    const { rows } = await client.query(
      `select coalesce(string_agg(r::text, E'\\n'), '') as text from ${name} r`,
    );
    texts.set(name, rows[0].text);
  }
  return texts;
}

t.test('the search finds a secret in every encoding', async (t) => {
  for (const form of formsOf(SECRETS.standard as string))
    t.ok(formsOf(SECRETS.standard as string).some((one) => `before ${form} after`.includes(one)));
  t.ok(
    formsOf(SECRETS.first as string).some((one) =>
      `\\x${Buffer.from(SECRETS.first as string).toString('hex')}`.includes(one),
    ),
  );
});

t.test(
  'no secret is ever logged, answered, counted or stored in plain text, and no payload logged',
  async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const client = await connect(t, databaseUrl);
    const receiver = await startReceiver(t, (response, { path }) => {
      if (path === '/hangs') return;
      if (path === '/resets') return void response.socket?.resetAndDestroy();
      response.statusCode = path === '/fails' ? 500 : 200;
      response.end('an answer');
    });
    const cli = await startCli(t, ['start'], {
      DATABASE_URL: databaseUrl,
      LOG_LEVEL: 'trace',
      POSTHORN_ADMIN_KEY: ADMIN_KEY,
      POSTHORN_ENCRYPTION_KEY: ENCRYPTION_KEY.toString('base64'),
      POSTHORN_RETRY_SCHEDULE: '50ms',
      POSTHORN_DELIVERY_TIMEOUT: '300ms',
    });
    const url = await cli.url();
    const answers: string[] = [];
    const request = async (
      method: string,
      path: string,
      body?: unknown,
      headers: Record<string, string> = { authorization: `Bearer ${ADMIN_KEY}` },
    ) => {
      const response = await fetch(new URL(path, url), {
        method,
        headers: {
          ...(body === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(body === undefined
          ? {}
          : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
      });
      const text = await response.text();
      return { status: response.status, text, headers: [...response.headers].flat().join(' ') };
    };
    /** A request whose answer is searched. */
    const ask: typeof request = async (...given) => {
      const reply = await request(...given);
      answers.push(`${given[0]} ${given[1]} ${reply.headers} ${reply.text}`);
      return reply;
    };

    const data = { note: PAYLOAD };
    const signed = (secret: string, body: string) => ({
      'x-hub-signature-256': `sha256=${createHmac('sha256', secret).update(body).digest('hex')}`,
    });
    await use();
    await goWrong();
    await until('all deliveries have ended', async () => {
      const { rows } = await client.query(
        `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
      );
      return rows[0].owed === 0;
    });
    for (const path of [
      '/v1/subscriptions',
      '/subscriptions/getsubscriptions',
      '/logs/deliverylogs',
      '/v1/deliveries',
      '/v1/stats',
      '/v1/settings',
      '/ping',
      '/readyz',
      '/api/docs/json',
      '/metrics',
    ])
      t.equal((await ask('GET', path)).status, 200, path);
    const metrics = (await request('GET', '/metrics')).text;
    const stored = await dump(client);
    cli.kill('SIGTERM');
    t.equal(await cli.exited, 0);

    const log = cli.output.stderr + cli.output.stdout;
    for (const level of [20, 40, 50])
      t.ok(log.includes(`"level":${level},`), `it logs at ${level}`);
    t.match(log, '"msg":"attempt"');
    t.ok(answers.length >= 20 && metrics.includes('posthorn_attempts_total'));
    t.ok(Object.keys(MADE).length >= 2);

    const secrets = { ...SECRETS, ...MADE };
    findNone(t, secrets, 'the log', log);
    findNone(t, secrets, 'the metrics', metrics);
    for (const answer of answers) findNone(t, secrets, answer.slice(0, 60), answer);
    for (const [table, text] of stored) findNone(t, secrets, table, text);

    const payload = { payload: PAYLOAD };
    findNone(t, payload, 'the log', log);
    findNone(t, payload, 'the metrics', metrics);
    for (const [table, text] of stored) {
      if (!table.startsWith('posthorn.webhook_payloads')) findNone(t, payload, table, text);
    }
    const kept = [...stored].filter(([, text]) =>
      formsOf(PAYLOAD).some((one) => text.includes(one)),
    );
    t.ok(kept.length > 0, 'it is where it belongs');

    /** All that secrets are used for, as it should go. */
    async function use(): Promise<void> {
      const v1 = '/v1/subscriptions';
      const first = JSON.parse(
        (
          await ask('POST', '/subscriptions/createsubscription', {
            url: `${receiver.url}/fails`,
            secret: SECRETS.first,
          })
        ).text,
      );
      await ask('PUT', '/subscriptions/updatesubscription', {
        id: first.id,
        secret: SECRETS.updated,
      });
      const paths = ['ok', 'hangs', 'resets'];
      for (const path of paths)
        await ask('POST', v1, { url: `${receiver.url}/${path}`, secret: SECRETS.standard });
      const source = JSON.parse(
        (
          await ask('POST', v1, {
            url: receiver.url,
            event_types: [],
            signature_header: 'X-Own',
            secret: SECRETS.standard,
            verify: { scheme: 'github', secret: SECRETS.verify },
          })
        ).text,
      );
      await ask('POST', `${v1}/${source.id}/rotate-secret`, { secret: SECRETS.rotated });
      const made = JSON.parse(
        (await request('POST', v1, { url: receiver.url, generate_secret: true })).text,
      );
      MADE.generated = made.secret;
      const rotated = JSON.parse((await request('POST', `${v1}/${made.id}/rotate-secret`)).text);
      MADE.rotatedInto = rotated.secret;
      const pair = JSON.parse(
        (await ask('POST', v1, { url: receiver.url, signature_scheme: 'ed25519' })).text,
      );
      await ask('GET', `${v1}/${pair.id}/public-key`);

      const sent = await ask('POST', '/v1/webhooks', { event_type: 'a.b', data });
      t.equal(sent.status, 202);
      const body = JSON.stringify(data);
      const handedIn = await ask(
        'POST',
        `/ingest/${first.id}`,
        body,
        signed(SECRETS.updated as string, body),
      );
      t.equal(handedIn.status, 202);
      const fromSource = await ask(
        'POST',
        `/ingest/${source.id}`,
        body,
        signed(SECRETS.verify as string, body),
      );
      t.equal(fromSource.status, 202);
      // The part of a payload that it shows belongs to the sender.
      await request('GET', `/v1/webhooks/${JSON.parse(handedIn.text).webhook_id}`);
    }

    /** All that goes wrong where a secret or a payload is at hand. */
    async function goWrong(): Promise<void> {
      const v1 = '/v1/subscriptions';
      const body = JSON.stringify(data);
      const wrong = SECRETS.wrong as string;
      for (const [given, path, field] of [
        [{ url: 'ftp://x', secret: wrong }, v1, 'scheme'],
        [{ url: receiver.url, secret: `sealed:${wrong}` }, v1, 'form'],
        [{ url: receiver.url, secret: `whsec_${wrong}` }, v1, 'base64'],
        [{ url: receiver.url, secret: `whsk_${wrong}` }, v1, 'key'],
        [{ url: receiver.url, secret: { wrong } }, v1, 'type'],
        [
          { url: receiver.url, verify: { scheme: 'standard-webhooks', secret: wrong } },
          v1,
          'prefix',
        ],
        [{ secret: wrong, signature_scheme: 'ed25519' }, `${v1}/1/rotate-secret`, 'kind'],
      ] as const)
        t.equal((await ask('POST', path, given)).status, 400, field);
      t.equal((await ask('POST', '/ingest/1', body, signed(wrong, body))).status, 401);
      t.equal((await ask('GET', v1, undefined, { authorization: `Bearer ${wrong}` })).status, 401);
      // The answer shows what was not JSON, to whom it came from.
      await request(
        'POST',
        '/ingest/5',
        `${body}${PAYLOAD}`,
        signed(SECRETS.verify as string, `${body}${PAYLOAD}`),
      );
      await request('POST', '/v1/webhooks', `{"data": "${PAYLOAD}`);

      // Postgres tells of the row that it refuses, secrets and payload with it.
      await client.query(`
      alter table posthorn.subscriptions add constraint broken check (description <> 'broken') not valid;
      alter table posthorn.webhook_payloads add constraint broken check (content_type <> 'application/broken+json') not valid`);
      const refused = { url: receiver.url, secret: wrong, description: 'broken' };
      t.equal((await ask('POST', v1, refused)).status, 500);
      t.equal(
        (await ask('PATCH', `${v1}/1`, { secret: wrong, description: 'broken' })).status,
        500,
      );
      const short = JSON.stringify(PAYLOAD);
      const broken = {
        ...signed(SECRETS.verify as string, short),
        'content-type': 'application/broken+json',
      };
      t.ok((await ask('POST', '/ingest/5', short, broken)).status >= 500);

      // A secret that cannot be read any more, one that never could, and a database that goes away.
      await client.query(`
      update posthorn.subscriptions set secret = 'sealed:v1:00000000:AAAA' where id = 3;
      insert into posthorn.subscriptions (url, secret) values ('${receiver.url}', 'sealed:v1:x');
      select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`);
      await until('it takes webhooks again', async () => {
        return (await ask('POST', '/v1/webhooks', { event_type: 'c.d', data })).status === 202;
      });
      t.equal((await ask('GET', `${v1}/3/public-key`)).status, 503);
    }
  },
);
