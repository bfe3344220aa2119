import type { Test } from 'tap';
import { LOCKS } from '../../../src/db/advisory-locks.ts';
import { connect } from '../../helpers/database.ts';
import { subscribeAs } from '../../helpers/health.ts';
import { startReceiver } from '../../helpers/receiver.ts';
import { startTestService } from '../../helpers/service.ts';
import { until } from '../../helpers/until.ts';
import { expectWhy, startByPath, UTC } from './expect.ts';

export async function deliveriesHeldByRules(t: Test): Promise<void> {
  await t.test('deliveries that a rule of their subscription holds', async (t) => {
    const url = await startByPath(t);
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h,1h' });
    const client = await connect(t, posthorn.databaseUrl);

    const paused = await posthorn.subscribe(url('200'));
    await posthorn.request('POST', `/v1/subscriptions/${paused}/pause`, { reason: 'lunch' });
    const atLunch = `${await posthorn.ingest(paused)}.${paused}`;
    const lunch = await expectWhy(
      t,
      posthorn,
      atLunch,
      ['held', 'paused'],
      RegExp(
        `Held: subscription ${paused} is paused since ${UTC} \\("lunch"\\)\\. POST /v1/subscriptions/${paused}/resume to send what is held\\.`,
      ),
    );
    const [{ request, sql }] = lunch.change;
    t.equal(sql, `select posthorn.resume(${paused})`);
    t.equal((await posthorn.request(request.method, request.path)).status, 200);
    await expectWhy(t, posthorn, atLunch, ['succeeded', 'delivered'], /Delivered at .*/);

    const gone = await posthorn.subscribe(url('410'));
    const last = await posthorn.ingest(gone);
    await until('it is disabled', async () => {
      const { json } = await posthorn.request('GET', `/v1/subscriptions/${gone}`);
      return json.status === 'disabled';
    });
    t.ok(last);
    await expectWhy(
      t,
      posthorn,
      `${await posthorn.ingest(gone)}.${gone}`,
      ['held', 'disabled'],
      RegExp(
        `Held: subscription ${gone} is disabled since ${UTC} \\("Its receiver answered 410 Gone: it wants no more webhooks"\\)\\. POST /v1/subscriptions/${gone}/enable to send what is held, or PATCH /v1/subscriptions/${gone} with the right \`url\`\\.`,
      ),
    );

    const limited = await subscribeAs(posthorn, {
      url: url('200'),
      rate_limit: { limit: 1, per: '1h' },
    });
    await posthorn.ingest(limited);
    await posthorn.ingest(limited);
    await posthorn.ingest(limited);
    const third = `${await posthorn.ingest(limited)}.${limited}`;
    const turn = await expectWhy(
      t,
      posthorn,
      third,
      ['held', 'rate_limit'],
      RegExp(
        `Held: subscription ${limited} has a rate limit of 1 request in 1h, so it waits for its turn or is being sent now; [23] older deliveries are held, which takes about [23] h at that rate\\. Wait, or PATCH /v1/subscriptions/${limited} with a higher \`rate_limit\`\\.`,
      ),
    );
    t.match(turn, { rate_limit: { limit: 1, per: '1h' }, ahead: Number, ahead_more: false });

    const pulled = await subscribeAs(posthorn, { url: null });
    const fresh = `${await posthorn.ingest(pulled)}.${pulled}`;
    await expectWhy(
      t,
      posthorn,
      fresh,
      ['held', 'to_be_pulled'],
      RegExp(
        `Held: it is due since ${UTC}; the receiver of subscription ${pulled} pulls its webhooks, and has never done so; no older delivery is held\\. Let the receiver pull: GET /v1/subscriptions/${pulled}/pull\\.`,
      ),
    );
    await posthorn.request('GET', `/v1/subscriptions/${pulled}/pull?lease=1h`);
    await expectWhy(
      t,
      posthorn,
      fresh,
      ['held', 'leased'],
      RegExp(
        `Held: its receiver pulled it at ${UTC} as attempt 1, and has not acknowledged it; it has to be acknowledged by ${UTC}, in .*\\. Wait\\.`,
      ),
    );

    const narrow = await subscribeAs(posthorn, { url: url('hangs'), max_in_flight: 1 });
    await posthorn.ingest(narrow);
    const behind = `${await posthorn.ingest(narrow)}.${narrow}`;
    await expectWhy(
      t,
      posthorn,
      behind,
      ['held', 'max_in_flight'],
      RegExp(
        `Held: subscription ${narrow} allows 1 open request at once, so it waits for its turn or is being sent now; 1 older delivery is held.*\\. Wait, or PATCH /v1/subscriptions/${narrow} with a higher \`max_in_flight\`\\.`,
      ),
    );

    const busy = await posthorn.subscribe(url('hangs'));
    await posthorn.request('POST', `/v1/subscriptions/${busy}/pause`);
    const waiting = `${await posthorn.ingest(busy)}.${busy}`;
    await posthorn.request('POST', `/v1/subscriptions/${busy}/resume`);
    await expectWhy(
      t,
      posthorn,
      waiting,
      ['held', 'backlog'],
      RegExp(
        `Held: it is due since ${UTC} and in the backlog of subscription ${busy}, which a worker sends as fast as its receiver answers, the oldest first; it waits for its turn or is being sent now; no older delivery is held.*\\. Wait\\.`,
      ),
    );

    // By SQL: no worker was notified, and the search for such backlogs is kept from its work.
    await client.query(`select pg_advisory_lock(${LOCKS.sweep})`);
    const forgotten = await posthorn.subscribe(url('503'));
    const found = `${await posthorn.ingest(forgotten)}.${forgotten}`;
    await expectWhy(t, posthorn, found, ['pending', 'retry'], /Pending: attempt 1 failed .*/);
    await client.query(
      `update posthorn.deliveries set state = 'held', next_attempt_at = now() where subscription_id = ${forgotten}`,
    );
    await expectWhy(
      t,
      posthorn,
      found,
      ['held', 'no_owner'],
      RegExp(
        `Held: it is due since ${UTC}, and no worker owns the backlog of subscription ${forgotten} at this moment; a worker takes it within 30 s\\. Wait\\.`,
      ),
    );
  });

  await t.test('deliveries in strict order', async (t) => {
    const receiver = await startReceiver(t, (response, { body }) => {
      if (!body.toString().includes('fails')) return;
      response.statusCode = 500;
      response.end();
    });
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h,1h' });
    const id = await subscribeAs(posthorn, { url: receiver.url, ordering: 'strict' });
    const send = async (data: object, ordering_key?: string) => {
      const { json } = await posthorn.request('POST', '/v1/webhooks', {
        event_type: 'order',
        data,
        ...(ordering_key === undefined ? {} : { ordering_key }),
      });
      return `${json.webhook_id}.${id}`;
    };
    const first = await send({ fails: true }, 'k-1');
    await expectWhy(
      t,
      posthorn,
      first,
      ['held', 'retry'],
      RegExp(
        `Held: attempt 1 failed with "The receiver answered 500 Internal Server Error" at ${UTC}, and attempt 2 of 3 is due at ${UTC}, in .*, before later deliveries of its ordering key\\. Mend the receiver, or POST /v1/deliveries/\\S+/cancel to cancel it\\.`,
      ),
    );
    const second = await send({}, 'k-1');
    const third = await send({}, 'k-1');
    for (const delivery of [second, third]) {
      const { order } = await expectWhy(
        t,
        posthorn,
        delivery,
        ['held', 'ordering'],
        RegExp(
          `Held: subscription ${id} sends in strict order, and delivery ${first} of the ordering key "k-1" goes first; its next attempt, after 1, is due at ${UTC}, in .*\\. Mend the receiver so that it takes the delivery that goes first, or POST /v1/deliveries/${first}/cancel to cancel the delivery that goes first\\.`,
        ),
      );
      t.strictSame(order, { key: 'k-1', behind: first, complete: true });
    }
    const other = await send({}, 'k-2');
    const next = await expectWhy(
      t,
      posthorn,
      other,
      ['held', 'next_of_key'],
      RegExp(
        `Held: subscription ${id} sends in strict order, and this is the next delivery of the ordering key "k-2"; it waits for a free place at its receiver or is being sent now.*\\. Wait\\.`,
      ),
    );
    t.strictSame(next.order, { key: 'k-2', behind: null, complete: true });
    await send({});
    const keyless = await send({});
    await expectWhy(
      t,
      posthorn,
      keyless,
      ['held', 'ordering'],
      RegExp(
        `Held: subscription ${id} sends in strict order, and delivery \\S+ of those without an ordering key goes first; it is due, and waits for its turn or is being sent now\\. .*`,
      ),
    );
  });
}
