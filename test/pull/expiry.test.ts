// What ends when nobody pulls: temporary subscriptions, and deliveries as old as history.
import type pg from 'pg';
import t from 'tap';
import { connect } from '../helpers/database.ts';
import { subscribeAs } from '../helpers/health.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Makes a subscription as old as an hour, of which the receiver has pulled at most `pulledAgo` ago. */
async function age(client: pg.Client, id: number, pulledAgo = '1 hour'): Promise<void> {
  await client.query(
    `update posthorn.subscriptions set created_at = now() - interval '1 hour' where id = $1`,
    [id],
  );
  await client.query(
    'update posthorn.backlogs set pulled_at = now() - $2::interval where subscription_id = $1',
    [id, pulledAgo],
  );
}

t.test('a temporary subscription that nobody pulls is deleted, and no other', async (t) => {
  const api = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, api.databaseUrl);
  const subscribe = (expire_after: string | null) =>
    subscribeAs(api, { url: null, event_types: [], expire_after });
  const pullOne = async (id: number, lease: string) => {
    const { json } = await api.request(
      'GET',
      `/v1/subscriptions/${id}/pull?wait=0s&batch=1&lease=${lease}`,
    );
    t.equal(json.deliveries.length, 1);
  };

  const held = await subscribe('2m');
  const waiting = await api.ingest(held);
  const leased = await subscribe('2m');
  await api.ingest(leased);
  await pullOne(leased, '1h');
  // A delivery was pulled and is not acknowledged; its lease is over.
  const crashed = await subscribe('2m');
  const pulled = await api.ingest(crashed);
  await pullOne(crashed, '1h');
  await client.query('update posthorn.leases set ends_at = now() where subscription_id = $1', [
    crashed,
  ]);
  const young = await subscribe('2m');
  const patient = await subscribe('3h');
  const lasting = await subscribe(null);
  for (const id of [held, leased, crashed, patient, lasting]) await age(client, id);
  await age(client, young, '1 minute');

  const worker = await startTestService(t, { DATABASE_URL: api.databaseUrl });
  await until('the two are deleted', async () => {
    const gone = [held, crashed].map((id) => api.request('GET', `/v1/subscriptions/${id}`));
    return (await Promise.all(gone)).every(({ status }) => status === 404);
  });
  for (const id of [leased, young, patient, lasting])
    t.equal((await worker.request('GET', `/v1/subscriptions/${id}`)).status, 200, `${id} stays`);
  for (const id of [waiting, pulled]) {
    const { json } = await until('its deliveries are cancelled', async () => {
      const reply = await api.request('GET', `/v1/webhooks/${id}`);
      return reply.json.deliveries[0].state === 'cancelled' && reply;
    });
    t.match(json.deliveries, [{ state: 'cancelled' }], 'and its webhook stays');
  }
});

t.test('a delivery that nobody pulls for as long as history is kept fails', async (t) => {
  const posthorn = await startTestService(t, { POSTHORN_RETENTION: '2d' });
  const client = await connect(t, posthorn.databaseUrl);
  const id = await subscribeAs(posthorn, { url: null, event_types: [] });
  const young = await posthorn.ingest(id);
  const { rows } = await client.query(
    `select posthorn.uuidv7_floor(now() - interval '49 hours') as old,
       posthorn.ensure_partitions(((now() - interval '50 hours') at time zone 'UTC')::date, (now() at time zone 'UTC')::date)`,
  );
  const { old } = rows[0];
  await client.query(
    `with payload as (
       insert into posthorn.webhook_payloads (id, content_type, body) values ($1, 'application/json', '{}')
     )
     insert into posthorn.deliveries (webhook_id, subscription_id, state, queued, next_attempt_at)
     values ($1, $2, 'held', false, now() - interval '49 hours')`,
    [old, id],
  );
  await client.query(`select graphile_worker.add_job('keep_partitions')`);
  const failed = await until('it has failed', async () => {
    const { json } = await posthorn.request('GET', `/v1/deliveries/${old}.${id}`);
    return json.state === 'failed' && json;
  });
  t.equal(failed.reason, 'expired');
  t.match((await posthorn.request('GET', `/v1/deliveries/${young}.${id}`)).json, {
    state: 'held',
  });
  const { json } = await posthorn.request('GET', `/v1/subscriptions/${id}/pull?wait=0s`);
  t.match(json.deliveries, [{ webhook_id: young }], 'it is not handed out any more');
});
