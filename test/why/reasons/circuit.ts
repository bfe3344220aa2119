import type { Test } from 'tap';
import { connect, createTestDatabase } from '../../helpers/database.ts';
import { ingestUntilOpen } from '../../helpers/health.ts';
import { startReceiver } from '../../helpers/receiver.ts';
import { startTestService } from '../../helpers/service.ts';
import { expectWhy, startByPath, UTC } from './expect.ts';

export async function deliveriesHeldByCircuits(t: Test): Promise<void> {
  await t.test('deliveries that an open circuit holds', async (t) => {
    const databaseUrl = await createTestDatabase(t);
    const url = await startByPath(t);
    const settings = {
      DATABASE_URL: databaseUrl,
      POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
      POSTHORN_RETRY_SCHEDULE: '1h,2h',
    };
    const posthorn = await startTestService(t, settings);
    const down = await posthorn.subscribe(url('503'));
    await ingestUntilOpen(posthorn, down);
    const held = `${await posthorn.ingest(down)}.${down}`;
    const open = RegExp(
      `Held: the circuit of subscription ${down} is open since ${UTC} with \\d+ failures in a row, the last "The receiver answered 503 Service Unavailable"; the next probe is due at ${UTC}, in (\\d+ min|1 h.*); if the circuit stays open, it expires at ${UTC}\\. Mend the receiver: the next probe notices it, or POST /v1/subscriptions/${down}/enable to close the circuit and send what is held, or PATCH /v1/subscriptions/${down} with the right \`url\`\\.`,
    );
    const why = await expectWhy(t, posthorn, held, ['held', 'circuit_open'], open);
    const { opened_at, next_probe_at } = why.circuit;
    t.match(why, { since: opened_at, circuit: { state: 'open', last_error_code: 'http_status' } });
    t.ok(new Date(next_probe_at) > new Date(why.read_at));
    t.equal(
      new Date(why.expires_at).getTime(),
      new Date(why.next_attempt_at).getTime() + 3 * 3_600_000,
    );

    const asked = await startReceiver(t, (response) => {
      response.writeHead(429, { 'retry-after': '600' }).end();
    });
    const pausing = await posthorn.subscribe(asked.url);
    await ingestUntilOpen(posthorn, pausing);
    await expectWhy(
      t,
      posthorn,
      `${await posthorn.ingest(pausing)}.${pausing}`,
      ['held', 'circuit_open'],
      RegExp(
        `Held: the circuit of subscription ${pausing} is open since ${UTC} because its receiver asked for a pause \\(Retry-After\\); the last failure was "The receiver answered 429 Too Many Requests"; the next probe is due at ${UTC}, in \\d+ min; .*`,
      ),
    );
  });

  await t.test('a probe that is under way, and deliveries that expire', async (t) => {
    const databaseUrl = await createTestDatabase(t);
    let fails = true;
    const receiver = await startReceiver(t, (response) => {
      if (!fails) return;
      response.statusCode = 503;
      response.end();
    });
    const settings = {
      DATABASE_URL: databaseUrl,
      POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=2s,max=2s',
      POSTHORN_RETRY_SCHEDULE: '1h,2h',
    };
    const client = await connect(t, databaseUrl);
    const posthorn = await startTestService(t, settings);
    const down = await posthorn.subscribe(receiver.url);
    await ingestUntilOpen(posthorn, down);
    fails = false;
    const held = `${await posthorn.ingest(down)}.${down}`;
    const why = await expectWhy(
      t,
      posthorn,
      held,
      ['held', 'probing'],
      RegExp(
        `Held: the circuit of subscription ${down} is open since ${UTC} with \\d+ failures in a row, the last "The receiver answered 503 Service Unavailable"; a probe is due since ${UTC}, and this delivery or another is chosen for it or is being sent; .*`,
      ),
    );
    t.match(why.circuit, { state: 'half_open' });
    await posthorn.service.stop();

    const api = await startTestService(t, { ...settings, POSTHORN_ROLE: 'api' });
    // A webhook that came four hours ago, when the circuit opened; its retries take three.
    await client.query(`
      update posthorn.circuits
      set opened_at = now() - interval '4 hours', probe_at = now() + interval '1 hour';
      select posthorn.ensure_partitions((now() - interval '1 day')::date, now()::date)`);
    const { rows } = await client.query<{ id: string }>(`
      with old as (
        insert into posthorn.webhook_payloads (id, content_type, body)
        values (posthorn.uuidv7_floor(now() - interval '4 hours'), 'application/json', '{}')
        returning id)
      insert into posthorn.deliveries (webhook_id, subscription_id, state, next_attempt_at)
      select id, ${down}, 'held', now() - interval '3 hours 30 minutes' from old
      returning webhook_id::text as id`);
    const old = `${rows[0]?.id}.${down}`;
    t.match(
      (await api.request('GET', `/v1/deliveries/${old}/why`)).json.why,
      /^Held: the circuit .* but no worker is running that sends it; .* Start a worker \(`posthorn start`\), or mend/,
    );
    await startTestService(t, { ...settings, POSTHORN_ROLE: 'worker' });
    await expectWhy(
      t,
      api,
      old,
      ['failed', 'expired'],
      RegExp(
        `Failed at ${UTC}: it was due and held, with the circuit of subscription ${down} open, for longer than 3h, in which all its retries would have been made\\. POST /v1/subscriptions/${down}/enable to close the circuit and send what is held, or POST \\S+/retry to send it again\\.`,
      ),
    );
  });
}
