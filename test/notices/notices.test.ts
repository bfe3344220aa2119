// Notices to people: on Slack-compatible URLs and as e-mail, by a real receiver and a real mail server.
import pg from 'pg';
import t, { type Test } from 'tap';
import { ingestUntilOpen, subscribeAs } from '../helpers/health.ts';
import { startMailServer } from '../helpers/mail-server.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN = 'an-admin-key-for-tests';
const QUICK = {
  POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=200ms,max=200ms',
  POSTHORN_RETRY_SCHEDULE: '1h',
};

async function connect(t: Test, { databaseUrl }: TestService): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  t.teardown(() => client.end());
  return client;
}

t.test('people are told once that a subscription fails, and once that it is well', async (t) => {
  const mail = await startMailServer(t);
  const slack = await startReceiver(t);
  let status = 500;
  const receiver = await startReceiver(t, (response) => {
    response.statusCode = status;
    response.end('<!channel> & more');
  });
  const posthorn = await startTestService(t, {
    ...QUICK,
    POSTHORN_SMTP_URL: mail.url,
    POSTHORN_MAIL_FROM: 'Posthorn <posthorn@example.com>',
  });
  const db = await connect(t, posthorn);
  await subscribeAs(posthorn, { url: 'mailto:ops@example.com' });
  await subscribeAs(posthorn, { url: `${slack.url}/services/T/B/x`, format: 'notice' });
  // Programs still get every event.
  const program = await startReceiver(t);
  await subscribeAs(posthorn, { url: program.url, event_types: ['posthorn.*'] });
  const id = await subscribeAs(posthorn, {
    url: `${receiver.url}/a?token=secret`,
    event_types: [],
  });

  await ingestUntilOpen(posthorn, id);
  await until('both are told', () => mail.mails.length === 1 && slack.received.length === 1);
  const [sent] = mail.mails;
  t.match(sent, { from: 'posthorn@example.com', to: ['ops@example.com'], user: 'posthorn' });
  const host = new URL(receiver.url).host;
  t.match(sent?.text, `Subject: Webhooks to ${host} fail`);
  t.match(sent?.text, /Message-ID: <0[0-9a-f-]{35}@posthorn>/);
  t.match(sent?.text, /Auto-Submitted: auto-generated/);
  t.match(sent?.text, /Reason: The receiver answered 500 Internal Server Error\./);
  const { text, ...others } = JSON.parse(String(slack.received[0]?.body));
  t.strictSame(others, {}, 'what Slack takes, and nothing else');
  t.match(text, `Webhooks to ${host} fail (subscription ${id} of the tenant default).`);
  t.notMatch(text + sent?.text, /secret/);

  const pending = async () => {
    const { rows } = await db.query(
      `select d.state, d.next_attempt_at - now() as wait, convert_from(p.body, 'UTF8') as body, d.webhook_id
       from posthorn.deliveries d
       join posthorn.webhook_payloads p on p.id = d.webhook_id
       join posthorn.subscriptions s on s.id = d.subscription_id
       where s.format = 'notice' and p.event_type = 'posthorn.subscription.recovered' order by d.webhook_id`,
    );
    return rows;
  };
  // It recovers, fails and recovers again: one incident.
  // Something to probe with.
  await posthorn.ingest(id);
  status = 200;
  const first = await until('the end is scheduled', async () => {
    const rows = await pending();
    return rows.length === 2 && rows;
  });
  for (const { state, wait, body } of first) {
    t.equal(state, 'pending');
    t.ok(wait.minutes >= 8, 'in ten minutes');
    t.match(body, 'delivered again');
  }
  await until('a webhook is delivered', async () => (await posthorn.ingest(id)) !== '');
  status = 500;
  await ingestUntilOpen(posthorn, id);
  await until('the notices of the end are cancelled', async () =>
    (await pending()).every(({ state }) => state === 'cancelled'),
  );
  await until('programs are told each time', () => program.received.length >= 3);
  t.equal(mail.mails.length, 1, 'people are not told again');
  t.equal(slack.received.length, 1);
  // Something to probe with.
  await posthorn.ingest(id);
  status = 200;
  const last = await until('the end is scheduled again', async () => {
    const rows = (await pending()).filter(({ state }) => state === 'pending');
    return rows.length === 2 && rows;
  });
  for (const { webhook_id } of last)
    await db.query(
      `update posthorn.deliveries set next_attempt_at = now(), queued = false where webhook_id = $1`,
      [webhook_id],
    );
  await until(
    'people are told the end',
    () => mail.mails.length === 2 && slack.received.length === 2,
  );
  t.match(mail.mails[1]?.text, `Subject: Webhooks to ${host} are delivered again`);

  t.test('a subscription for people gets nothing else', async (t) => {
    const { json } = await posthorn.request('GET', '/v1/subscriptions');
    const notices = json.data.filter(({ format }: { format: string }) => format === 'notice');
    t.equal(notices.length, 2, JSON.stringify(json).slice(0, 300));
    const target = notices[0].id;
    t.equal((await posthorn.request('POST', `/ingest/${target}`, {})).status, 409);
    const sent = {
      event_type: 'a.b',
      data: { subject: 'spam', text: 'spam' },
      subscription_id: target,
    };
    t.equal((await posthorn.request('POST', '/v1/webhooks', sent)).status, 409);
    await t.rejects(
      db.query(`select posthorn.send_many('{a.b}', array['{}'::jsonb], subscription_id => $1)`, [
        target,
      ]),
      /gets notices of Posthorn only/,
    );
  });

  t.test('a mail server that refuses is an attempt that failed, with its words', async (t) => {
    mail.refuseWith = { code: 550, message: 'no such user' };
    const { json } = await posthorn.request('POST', '/v1/subscriptions', {
      url: 'mailto:nobody@example.com',
    });
    const test = await posthorn.request('POST', `/v1/subscriptions/${json.id}/test`, {});
    t.match(test.json, {
      status: 'failed',
      error_code: 'mail',
      error: 'Not sent: the mail server answered: 550 no such user.',
    });
    mail.refuseWith = undefined;
    t.match((await posthorn.request('POST', `/v1/subscriptions/${json.id}/test`, {})).json, {
      status: 'success',
      response: { status_code: 250 },
    });
    t.match(mail.mails.at(-1)?.text, 'Subject: Test of notices');
  });
});

t.test('a tenant gets at most 20 notices in an hour, and only its own', async (t) => {
  const slack = await startReceiver(t);
  const foreign = await startReceiver(t);
  const posthorn = await startTestService(t, QUICK);
  const db = await connect(t, posthorn);
  await posthorn.request('POST', '/v1/tenants', { id: 'other' });
  await posthorn.request('POST', '/v1/subscriptions?tenant=other', {
    url: foreign.url,
    format: 'notice',
  });
  await subscribeAs(posthorn, { url: slack.url, format: 'notice' });
  await db.query(`insert into posthorn.subscriptions (url, event_types)
    select 'https://receiver-' || n || '.example/', '{}' from generate_series(1, 30) as n`);
  await db.query(`select posthorn.disable_subscription(id, 'Its receiver answered 410 Gone: it wants no more webhooks.')
    from posthorn.subscriptions where url like 'https://receiver-%'`);
  await slack.waitFor(20);
  const { rows } = await db.query(`select count(*)::integer as many from posthorn.notices`);
  t.equal(rows[0].many, 20);
  const texts = slack.received.map(({ body }) => JSON.parse(String(body)).text);
  t.equal(texts.filter((text) => /notice 20 of the last hour/.test(text)).length, 1);
  t.match(texts[0], /Webhooks to receiver-\d+\.example are disabled/);
  t.equal(foreign.received.length, 0);
});

t.test(
  'what cannot be a subscription for people is refused with what would be right',
  async (t) => {
    const without = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN });
    const admin = { authorization: `Bearer ${ADMIN}` };
    const create = (body: object, headers: Record<string, string> = admin) =>
      without.request('POST', '/v1/subscriptions', body, headers);
    t.match((await create({ url: 'mailto:ops@example.com' })).text, /POSTHORN_SMTP_URL/);
    const key = await without.request('POST', '/v1/keys', { scopes: ['manage'] }, admin);
    const manager = { authorization: `Bearer ${key.json.key}` };
    t.equal((await create({ url: 'mailto:ops@example.com' }, manager)).status, 403);
    const url = 'https://hooks.slack.com/services/a';
    t.match(
      (await create({ url, format: 'notice', event_types: ['order.*'] })).text,
      /body\.event_types\.0/,
    );
    t.match((await create({ url, format: 'notice', channels: ['a'] })).text, /body\.channels/);
    t.match(
      (await create({ url: 'mailto:ops@example.com', format: 'webhook' })).text,
      /body\.format/,
    );
    const made = await create({ url, format: 'notice' }, manager);
    t.match(made.json, { format: 'notice', event_types: ['posthorn.*'] });
    const change = (body: object) =>
      without.request('PATCH', `/v1/subscriptions/${made.json.id}`, body, manager);
    t.equal((await change({ url: 'mailto:ops@example.com' })).status, 403);
    t.equal((await change({ event_types: ['*'] })).status, 400);
    t.equal((await change({ channels: ['a'] })).status, 400);
    t.equal((await change({ event_types: ['posthorn.subscription.disabled'] })).status, 200);
    const legacy = { url: 'mailto:ops@example.com' };
    t.equal(
      (await without.request('POST', '/subscriptions/createsubscription', legacy, admin)).status,
      400,
    );
  },
);
