// `posthorn tenants move`: what goes along, and what cannot be moved.
import t from 'tap';
import { createSealer, parseSealingKeys } from '../../src/lib/sealing.ts';
import { lockMove } from '../../src/placement/moves.sql.ts';
import { startCliRunner } from '../helpers/cli-runner.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createLogin } from '../helpers/roles.ts';
import { until } from '../helpers/until.ts';
import { admin } from './homes.ts';
import { numbersOf, numbersSent, ok, startMovable, startSenders } from './moving.ts';

t.test('a tenant moves with all it has while it is used, and back', async (t) => {
  const moving = await startMovable(t, {
    POSTHORN_ENCRYPTION_KEY: Buffer.alloc(32, 1).toString('base64'),
  });
  const { one, two, key, env } = moving;
  env.POSTHORN_ENCRYPTION_KEY = Buffer.alloc(32, 1).toString('base64');
  const [receiver, later] = [await startReceiver(t), await startReceiver(t)];
  let isDown = true;
  const failing = await startReceiver(t, (response) => {
    response.statusCode = isDown ? 503 : 200;
    response.end();
  });
  const subscribe = async (fields: object) =>
    (await ok(one.request('POST', '/v1/subscriptions', fields, key))).id as number;
  const secret = 'a secret of acme 0123';
  const strict = { url: receiver.url, event_types: ['n.*'], ordering: 'strict', secret };
  const id = await subscribe(strict);
  await subscribe({ url: failing.url, event_types: ['f.*'], retry_schedule: '25s,1m' });
  await subscribe({ url: later.url, event_types: ['later'] });
  const paused = await subscribe({ url: later.url, event_types: ['none'] });
  await ok(one.request('POST', `/v1/subscriptions/${paused}/pause`, {}, key));
  const pulled = await subscribe({ url: null, event_types: ['p.*'], expire_after: '2m' });
  await ok(one.request('POST', '/v1/event-types', { name: 'n.sent', description: 'N' }, key));
  const send = (event_type: string, more: object = {}) =>
    ok(one.request('POST', '/v1/webhooks', { event_type, data: { n: 1 }, ...more }, key));
  const deliver_at = new Date(Date.now() + 25_000).toISOString();
  await send('f.a');
  await send('later', { deliver_at });
  await send('p.a');
  const pull = async () =>
    (
      await ok(
        one.request('GET', `/v1/subscriptions/${pulled}/pull?wait=0s&lease=5m`, undefined, key),
      )
    ).deliveries;
  const [leased] = await until('it is pulled', async () => {
    const deliveries = await pull();
    return deliveries.length === 1 && deliveries;
  });
  await failing.waitFor(1);

  const senders = startSenders(t, [one, two], key);
  await until('some are sent', () => receiver.received.length > 20);
  const { code, stdout, stderr } = await moving.move();
  t.equal(code, 0, stderr);
  t.equal(stdout, 'acme lives at two.\n');
  t.match(
    stderr,
    /^prepare: .*\ncopy: [\s\S]*\npause: [\s\S]*\nclose: [\s\S]*\nopen: .*\nclean up: .*\n$/,
  );
  const then = receiver.received.length;
  await until('the target sends', () => receiver.received.length > then + 20);
  await senders.stop();
  await receiver.waitFor(senders.total());
  t.strictSame(numbersOf(receiver), numbersSent(senders), 'each once, and in order');

  for (const home of [one, two]) {
    const { data } = await ok(home.request('GET', '/v1/subscriptions', undefined, key));
    t.equal(data.length, 5, `all subscriptions, by ${home.name}`);
    const list = await ok(home.request('GET', '/v1/tenants', undefined, admin));
    const ids = list.data.map((tenant: { id: string }) => tenant.id);
    t.equal(ids.includes('acme'), home === two, 'one home lists it');
    const signed = { payload: { n: 1 }, secret };
    const { json } = await home.request('POST', '/ingest/getsignature', signed, admin);
    const headers = { 'x-hub-signature-256': json.signature };
    const before = receiver.received.length;
    await ok(home.request('POST', `/ingest/${id}`, json.signed_payload, headers));
    await receiver.waitFor(before + 1);
  }
  const types = await ok(two.request('GET', '/v1/event-types/n.sent', undefined, key));
  t.equal(types.description, 'N');
  const still = await ok(two.request('GET', `/v1/subscriptions/${paused}`, undefined, key));
  t.equal(still.status, 'paused', 'what its owner has paused stays paused');
  const first = senders.sent.get('sender 0')?.[0];
  const again = await two.request(
    'POST',
    '/v1/webhooks',
    { event_type: 'n.sent', data: { sender: 'sender 0', n: 1 }, ordering_key: 'sender 0' },
    { ...key, 'idempotency-key': 'sender 0 1' },
  );
  t.equal(again.json.webhook_id, first, 'idempotency keys go along');
  t.strictSame(await pull(), [], 'what was pulled before is leased still');
  const results = [{ token: leased.token, result: 'delivered' }];
  const path = `/v1/subscriptions/${pulled}/acknowledge`;
  t.equal((await ok(one.request('POST', path, { results }, key))).recorded, 1);
  isDown = false;
  const [, retried] = await failing.waitFor(2);
  t.match(retried?.body.toString(), /"n":1/, 'what failed is tried again by its schedule');
  const [due] = await later.waitFor(1);
  t.ok((due?.at ?? 0) >= Date.parse(deliver_at) - 1_000, 'scheduled webhooks keep their time');
  const left = await one.client.query(
    `select (select count(*)::integer from posthorn.deliveries where state in ('pending', 'held')) as unfinished,
       (select count(*)::integer from posthorn.subscriptions where deleted_at is null) as subscriptions,
       (select count(*)::integer from posthorn.keys) as keys`,
  );
  t.strictSame(left.rows, [{ unfinished: 0, subscriptions: 0, keys: 0 }], 'nothing is left');
  await t.rejects(one.client.query(`select posthorn.send('n.sent', '{}', tenant => 'acme')`), {
    code: 'PH002',
  });

  const back = await moving.moveBack();
  t.equal(back.code, 0, back.stderr);
  const n = receiver.received.length;
  const n2 = { event_type: 'n.sent', data: { n: 2 } };
  await ok(two.request('POST', '/v1/webhooks', n2, key));
  await receiver.waitFor(n + 1);
  const { rows } = await one.client.query(
    `select (select count(*)::integer from posthorn.webhook_payloads where tenant = 'acme') as webhooks,
       (select count(*)::integer from posthorn.subscriptions where tenant = 'acme' and deleted_at is null) as subscriptions`,
  );
  const others = 3 + 2 + 1;
  t.strictSame(rows, [{ webhooks: senders.total() + others, subscriptions: 5 }], 'all is back');
});

t.test('what cannot be moved is refused in one line that says why', async (t) => {
  const { one, two, directory, directoryUrl, env, key } = await startMovable(t);
  const run = startCliRunner(t);
  const move = (args: readonly string[], more: Record<string, string> = {}) =>
    run(['tenants', 'move', ...args], { ...env, ...more });
  const refused = async (
    code: number,
    stderr: RegExp,
    args: readonly string[] = ['acme', '--to', 'two'],
    more: Record<string, string> = {},
  ) => {
    const ended = await move(args, more);
    t.match(ended, { code, stderr, stdout: '' }, String(stderr));
    t.equal(ended.stderr.trimEnd().split('\n').length, 1, ended.stderr);
  };

  await refused(1, /Set POSTHORN_TARGET_URL/, undefined, { POSTHORN_TARGET_URL: '' });
  await refused(1, /POSTHORN_TARGET_URL: /, undefined, { POSTHORN_TARGET_URL: 'two' });
  await refused(3, /There is no home three\. The homes are: one, two/, ['acme', '--to', 'three']);
  await refused(3, /The directory has no tenant nobody/, ['nobody', '--to', 'two']);
  await refused(4, /The tenant default stays at the first home/, ['default', '--to', 'two']);
  await refused(4, /POSTHORN_TARGET_URL is not that of two: its ids are those of one/, undefined, {
    POSTHORN_TARGET_URL: one.databaseUrl,
  });
  await refused(4, /DATABASE_URL is not that of one/, undefined, { DATABASE_URL: two.databaseUrl });
  const there = await move(['acme', '--to', 'one', '--json']);
  t.equal(JSON.parse(there.stdout).result, 'already_there', 'the same home: nothing to do');

  const role = await createLogin(t, one.client);
  await one.client.query(`grant pg_read_all_data to ${role.name}`);
  await refused(4, /does not own the schema posthorn/, undefined, {
    DATABASE_URL: role.url(one.databaseUrl),
  });

  const key32 = Buffer.alloc(32, 7).toString('base64');
  const id = await one.request('POST', '/v1/subscriptions', { url: 'https://example.com' }, key);
  const sealed = createSealer(parseSealingKeys(key32)).seal('a secret', 'x');
  await one.client.query('update posthorn.subscriptions set secret = $1 where id = $2', [
    sealed,
    id.json.id,
  ]);
  await refused(4, /secrets are encrypted with the key [0-9a-f]{8}, which POSTHORN_ENCRYPTION_KEY/);
  await one.client.query('update posthorn.subscriptions set secret = null');

  await one.client.query(`insert into posthorn.tasks (tenant, kind, since_id, until_id, states, due_at)
    values ('acme', 'cancel', posthorn.uuidv7(), posthorn.uuidv7(), '{held}', 'infinity')`);
  await refused(4, /the bulk operation .* is under way/);
  await one.client.query('delete from posthorn.tasks');
  await one.client.query(`create table public.orders (id integer primary key);
    select posthorn.watch('public.orders', tenant => 'acme')`);
  await refused(4, /the watch on (public\.)?orders sends webhooks of it/);
  await one.client.query(`select posthorn.unwatch('public.orders')`);

  t.strictSame((await directory.query('select * from posthorn.moves')).rows, [], 'nothing began');
  await directory.query(
    `insert into posthorn.homes (name, api_url, first_id) values ('three', 'http://three', 20000001);
     insert into posthorn.moves (tenant, source, target, phase) values ('acme', 'one', 'three', 'copy')`,
  );
  await refused(4, /acme is being moved to three \(copy\)/);
  await directory.query('delete from posthorn.moves');

  const other = await connect(t, directoryUrl);
  await lockMove(other, 'acme');
  await refused(4, /Another process is moving the tenant acme/);
  await other.query('select pg_advisory_unlock_all()');
  await two.client.query('delete from posthorn.schema_files where true');
  await refused(4, /POSTHORN_TARGET_URL does not have the schema of this version/);
});
