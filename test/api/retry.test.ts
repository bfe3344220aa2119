import t from 'tap';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Waits until a delivery is in that state, and returns it. */
async function inState(posthorn: TestService, id: string, state: string) {
  return await until(`${id} is ${state}`, async () => {
    const { json } = await posthorn.request('GET', `/v1/deliveries/${id}`);
    return json.state === state && json;
  });
}

async function attemptsOf(posthorn: TestService, id: string) {
  const { json } = await posthorn.request('GET', `/v1/deliveries/${id}`);
  const attempts = (await posthorn.request('GET', json.links.attempts)).json;
  return attempts.data.map((attempt: { attempt_number: number }) => attempt.attempt_number);
}

t.test('a failed delivery is sent again with a new schedule and continued numbers', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth <= 4 ? 500 : 200;
    response.end();
  });
  // Two attempts a schedule: the first two fail, and so does the third, after which there is a fourth.
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '50ms' });
  const subscription = await posthorn.subscribe(receiver.url);
  const id = `${await posthorn.ingest(subscription)}.${subscription}`;
  const failed = await inState(posthorn, id, 'failed');
  t.equal(failed.attempts_made, 2);
  const { status, json } = await posthorn.request('POST', failed.links.retry);
  t.equal(status, 202);
  t.match(json, { id, attempts_made: 2, ended_at: null });
  await until('it has failed again, after a whole schedule', async () => {
    const again = await inState(posthorn, id, 'failed');
    return again.attempts_made === 4;
  });
  await posthorn.request('POST', `/v1/deliveries/${id}/retry`);
  const done = await inState(posthorn, id, 'succeeded');
  t.equal(done.attempts_made, 5);
  t.strictSame(await attemptsOf(posthorn, id), [5, 4, 3, 2, 1]);
});

t.test('a delivery that succeeded is sent again too, with the same webhook-id', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const subscription = await posthorn.subscribe(receiver.url);
  const webhook = await posthorn.ingest(subscription);
  const id = `${webhook}.${subscription}`;
  await inState(posthorn, id, 'succeeded');
  t.equal((await posthorn.request('POST', `/v1/deliveries/${id}/retry`)).status, 202);
  const received = await receiver.waitFor(2);
  t.strictSame(
    received.map(({ headers }) => headers['webhook-id']),
    [webhook, webhook],
  );
  const done = await inState(posthorn, id, 'succeeded');
  t.equal(done.attempts_made, 2);
});

t.test('a delivery that waits for its next attempt is due now', async (t) => {
  const receiver = await startReceiver(t, (response, _request, nth) => {
    response.statusCode = nth === 1 ? 500 : 200;
    response.end();
  });
  const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h' });
  const subscription = await posthorn.subscribe(receiver.url);
  const id = `${await posthorn.ingest(subscription)}.${subscription}`;
  await until('the first attempt is recorded', async () => {
    const { json } = await posthorn.request('GET', `/v1/deliveries/${id}`);
    return json.attempts_made === 1;
  });
  t.equal((await posthorn.request('POST', `/v1/deliveries/${id}/retry`)).status, 202);
  t.match(await inState(posthorn, id, 'succeeded'), { attempts_made: 2 });
});

t.test('a retried delivery of a paused subscription is held', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const subscription = await posthorn.subscribe(receiver.url);
  const id = `${await posthorn.ingest(subscription)}.${subscription}`;
  await inState(posthorn, id, 'succeeded');
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(`update posthorn.subscriptions set status = 'paused'`);
  const { json } = await posthorn.request('POST', `/v1/deliveries/${id}/retry`);
  t.match(json, { state: 'held', attempts_made: 1 });
  const { rows } = await client.query('select subscription_id from posthorn.backlogs');
  t.strictSame(rows, [{ subscription_id: subscription }]);
});

t.test('a delivery that cannot be retried is refused with the reason', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const subscription = await posthorn.subscribe(receiver.url);
  const ids: string[] = [];
  for (let n = 0; n < 2; n++) ids.push(`${await posthorn.ingest(subscription)}.${subscription}`);
  for (const id of ids) await inState(posthorn, id, 'succeeded');
  const retry = (id: string) => posthorn.request('POST', `/v1/deliveries/${id}/retry`);
  const client = await connect(t, posthorn.databaseUrl);

  const unknown = await retry(`01890a5d-ac96-774b-bcce-b302099a8057.${subscription}`);
  t.equal(unknown.status, 404);
  const [webhook] = (ids[0] as string).split('.');
  t.equal((await retry(`${webhook}.9999999999`)).status, 404, 'no integer has so many');
  for (const id of ['7', `${webhook}`, `${webhook}.`, `${webhook}.0`, `${webhook}.x`]) {
    const { status, json } = await retry(id);
    t.equal(status, 400, id);
    t.match(json.errors, [
      { field: 'path.delivery_id', message: /must be the id of a delivery: / },
    ]);
  }

  await client.query('update posthorn.webhook_payloads set body = null where id = $1', [webhook]);
  const expired = await retry(ids[0] as string);
  t.equal(expired.status, 409);
  t.match(expired.json, {
    type: 'urn:posthorn:problem:conflict',
    detail: /body of this webhook is deleted/,
  });
  t.match((await posthorn.request('GET', `/v1/deliveries/${ids[0]}`)).json, {
    state: 'succeeded',
    body_expired: true,
  });
  t.match((await posthorn.request('GET', `/v1/webhooks/${webhook}?include=body`)).json, {
    body: null,
    bytes: null,
    body_expired: true,
  });

  await client.query(
    'update posthorn.deliveries set attempt_count = 30000 where webhook_id <> $1',
    [webhook],
  );
  t.match((await retry(ids[1] as string)).json, {
    status: 409,
    detail: /as many attempts as can be counted/,
  });
  await posthorn.request('DELETE', `/v1/subscriptions/${subscription}`);
  t.match((await retry(ids[1] as string)).json, {
    status: 409,
    detail: /subscription of this delivery is deleted/,
  });
  t.equal(receiver.received.length, 2);
});

t.test('the body of a webhook is shown on request, as it is delivered', async (t) => {
  const receiver = await startReceiver(t);
  const posthorn = await startTestService(t);
  const subscription = await posthorn.subscribe(receiver.url);
  const body = '{"amount": 12.50, "big": 12345678901234567890}';
  const webhook = await posthorn.ingest(subscription, body);
  const { json } = await posthorn.request('GET', `/v1/webhooks/${webhook}?include=body`);
  t.match(json, { body, bytes: body.length, body_expired: false });
  t.notOk('body' in (await posthorn.request('GET', `/v1/webhooks/${webhook}`)).json);
  t.equal((await posthorn.request('GET', `/v1/webhooks/${webhook}?include=all`)).status, 400);
});
