import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

interface Row {
  readonly id: number;
  readonly url: string;
}

t.test('a list of subscriptions is limited by status, failures and text', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    insert into posthorn.subscriptions (url, description, status) values
      ('https://one.example/', null, 'active'),
      ('https://two.example/', 'Orders of 100% ONE_customer', 'paused'),
      ('https://three.example/', null, 'disabled'),
      ('https://four.example/hooks', null, 'active')`);
  await client.query(`
    insert into posthorn.circuits (subscription_id, failing_since, failures, last_failed_at)
    values (4, now(), 3, now())`);
  const find = async (query: string) => {
    const { status, json, text } = await posthorn.request('GET', `/v1/subscriptions?${query}`);
    t.equal(status, 200, text);
    t.equal(json.next_cursor, null);
    return json.data.map(({ id }: Row) => id);
  };
  t.strictSame(await find('status=active'), [1, 4]);
  t.strictSame(await find('status=paused'), [2]);
  t.strictSame(await find('status=disabled'), [3]);
  t.strictSame(await find('failing=true'), [4]);
  t.strictSame(await find('search=ONE'), [1, 2]);
  t.strictSame(await find('search=one_'), [2], 'a text, not a pattern');
  t.strictSame(await find('search=%25'), [2]);
  t.strictSame(await find('search=HOOKS&status=active&failing=true'), [4]);
  t.strictSame(await find('search=nothing'), []);
  const wrong = await posthorn.request('GET', '/v1/subscriptions?status=asleep');
  t.equal(wrong.status, 400);
  t.match(wrong.json.errors, [{ field: 'query.status' }]);
});

t.test('a search through many subscriptions ends, and goes on with the cursor', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`
    insert into posthorn.subscriptions (url, status)
    select 'https://example.com/' || case when n % 8000 = 0 then 'rare' else 'other' end, 'paused'
    from generate_series(1, 24000) as n`);
  const found: number[] = [];
  let pages = 0;
  for (let cursor = ''; ; pages++) {
    const { json } = await posthorn.request(
      'GET',
      `/v1/subscriptions?search=rare&limit=1${cursor && `&cursor=${cursor}`}`,
    );
    found.push(...json.data.map(({ id }: Row) => id));
    if (json.next_cursor === null) break;
    cursor = json.next_cursor;
  }
  t.strictSame(found, [8000, 16000, 24000]);
  t.ok(pages >= 2, 'no page reads all of them');
});

t.test('include=health tells what is held, what fails, and the attempts of 24 hours', async (t) => {
  const receiver = await startReceiver(t, (response, { path }) => {
    response.statusCode = path === '/fails' ? 500 : 200;
    response.end();
  });
  const posthorn = await startTestService(t, {
    POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
    POSTHORN_RETRY_SCHEDULE: Array(8).fill('50ms').join(','),
  });
  const client = await connect(t, posthorn.databaseUrl);
  const well = await posthorn.subscribe(`${receiver.url}/well`);
  const failing = await posthorn.subscribe(`${receiver.url}/fails`);
  const paused = await posthorn.subscribe(`${receiver.url}/paused`);
  // Nothing is sent to it, so that the service counts nothing either.
  const counted = await posthorn.subscribe(`${receiver.url}/counted`);
  const foreign = await posthorn.request('POST', '/v1/tenants', { id: 'acme' });
  t.equal(foreign.status, 201);
  await posthorn.request('POST', '/v1/subscriptions?tenant=acme', { url: receiver.url });
  await posthorn.request('POST', `/v1/subscriptions/${paused}/pause`, {});
  for (let n = 0; n < 3; n++) {
    await posthorn.ingest(well);
    await posthorn.ingest(paused);
  }
  await posthorn.ingest(failing);
  const read = async () =>
    (await posthorn.request('GET', '/v1/subscriptions?include=health')).json.data;
  const rows = await until('the circuit is open', async () => {
    const rows = await read();
    return rows[1].health.circuit.state === 'open' && rows[1].health.held === 1 && rows;
  });
  t.strictSame(
    rows.map(({ id }: Row) => id),
    [well, failing, paused, counted],
  );
  t.match(rows[0].health, { circuit: { state: 'closed' }, failing_since: null, held: 0 });
  t.match(rows[2].health, { circuit: { state: 'closed' }, held: 3, held_more: false });
  t.ok(rows[1].health.failing_since && rows[1].health.circuit.next_probe_at);

  const hour = (await client.query(`select date_trunc('hour', now(), 'UTC') as hour`)).rows[0].hour;
  await client.query(
    `insert into posthorn.counts_by_hour
       (tenant, subscription_id, hour, accepted, success, failed, timeout, blocked, duration_classes, duration_numbers)
     values
       ('default', $1, $2, 50, 20, 4, 1, 0, '{3,5}', '{24,1}'),
       ('default', $1, $2::timestamptz - interval '23 hours', 0, 7, 0, 0, 0, '{3}', '{7}'),
       ('default', $1, $2::timestamptz - interval '24 hours', 0, 9, 0, 0, 0, '{3}', '{9}'),
       ('acme', $1, $2, 0, 1000, 0, 0, 0, '{3}', '{1000}')`,
    [counted, hour],
  );
  const { hours } = (await read())[3].health;
  t.equal(hours.length, 24);
  t.strictSame(hours.at(-1), { at: hour.toISOString(), attempts: 25, failed: 5 });
  t.match(hours[0], { attempts: 7, failed: 0 });
  t.equal(Date.parse(hours[23].at) - Date.parse(hours[0].at), 23 * 3_600_000);

  const bare = await posthorn.request('GET', '/v1/subscriptions?limit=1');
  t.notOk('health' in bare.json.data[0], 'only if it is asked for');
  await client.query(`
    insert into posthorn.subscriptions (url) select 'https://example.com/' from generate_series(1, 150)`);
  const long = await posthorn.request('GET', '/v1/subscriptions?include=health&limit=1000');
  t.equal(long.json.data.length, 100, 'a page has 100 at most');
  t.ok(long.json.next_cursor);
});
