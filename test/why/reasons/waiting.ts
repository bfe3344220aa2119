import type { Test } from 'tap';
import { LOCKS } from '../../../src/db/advisory-locks.ts';
import { connect } from '../../helpers/database.ts';
import { subscribeAs } from '../../helpers/health.ts';
import { startTestService } from '../../helpers/service.ts';
import { expectWhy, startByPath, UTC } from './expect.ts';

export async function waitingDeliveries(t: Test): Promise<void> {
  await t.test('deliveries that wait for a time, and those that are cancelled', async (t) => {
    const url = await startByPath(t);
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h,1h' });
    const client = await connect(t, posthorn.databaseUrl);

    const planned = await subscribeAs(posthorn, { url: url('200'), event_types: ['planned'] });
    const { json } = await posthorn.request('POST', '/v1/webhooks', {
      event_type: 'planned',
      data: {},
      deliver_at: new Date(Date.now() + 7 * 86_400_000).toISOString(),
    });
    const scheduled = `${json.webhook_id}.${planned}`;
    await expectWhy(
      t,
      posthorn,
      scheduled,
      ['pending', 'scheduled'],
      RegExp(
        `Scheduled: its sender asked for its delivery at ${UTC}, in (7 days|6 days 2[34] h)\\. POST /v1/deliveries/${scheduled}/retry to send it now, or POST /v1/deliveries/\\S+/cancel to cancel it\\.`,
      ),
    );
    await posthorn.request('POST', `/v1/subscriptions/${planned}/pause`);
    t.match(
      (await posthorn.request('GET', `/v1/deliveries/${scheduled}/why`)).json.why,
      /; it is held then if this has not changed: subscription \d+ is paused since/,
    );
    await posthorn.request('POST', `/v1/webhooks/${json.webhook_id}/cancel`);
    await expectWhy(
      t,
      posthorn,
      scheduled,
      ['cancelled', 'cancelled'],
      RegExp(`Cancelled at ${UTC} by a request or by SQL\\. POST \\S+/retry to send it again\\.`),
    );

    const down = await subscribeAs(posthorn, { url: url('503'), event_types: ['down'] });
    const retried = `${await posthorn.ingest(down)}.${down}`;
    const waiting = await expectWhy(
      t,
      posthorn,
      retried,
      ['pending', 'retry'],
      RegExp(
        `Pending: attempt 1 failed with "The receiver answered 503 Service Unavailable" at ${UTC}, and attempt 2 of 3 is due at ${UTC}, in (\\d+ min|1 h.*)\\. Mend the receiver, or POST /v1/deliveries/${retried}/retry to send it now\\.`,
      ),
    );
    t.match(waiting, {
      attempt: { number: 2, position: 2, of: 3 },
      last_attempt: { number: 1, response_code: 503, error_code: 'http_status' },
      since: waiting.last_attempt.at,
    });

    // The worker that adds missing jobs is kept from it. A year has passed.
    await client.query(`select pg_advisory_lock(${LOCKS.wake})`);
    await client.query(
      `update posthorn.deliveries set next_attempt_at = now(), queued = false where subscription_id = ${down}`,
    );
    await expectWhy(
      t,
      posthorn,
      retried,
      ['pending', 'waking'],
      RegExp(
        `Pending: it is due since ${UTC} and has no job in the queue yet; a worker adds the missing jobs every 15 s\\. Wait\\.`,
      ),
    );
    await client.query(
      `update posthorn.deliveries set next_attempt_at = now() + interval '1 hour' where subscription_id = ${down};
       select pg_advisory_unlock(${LOCKS.wake})`,
    );

    // Another session has both deliveries locked, so they cannot be cancelled yet.
    await posthorn.request('POST', `/v1/subscriptions/${down}/pause`);
    const held = `${await posthorn.ingest(down)}.${down}`;
    await client.query(
      `begin; select from posthorn.deliveries where subscription_id = ${down} for update`,
    );
    const enabled = await posthorn.request('POST', `/v1/subscriptions/${down}/enable`, {
      backlog: 'skip',
    });
    t.equal(enabled.status, 202);
    for (const [delivery, state] of [
      [retried, 'pending'],
      [held, 'held'],
    ] as const)
      await expectWhy(
        t,
        posthorn,
        delivery,
        [state, 'skipping'],
        /Being cancelled: subscription \d+ was enabled with `backlog` skip, and a worker cancels what was unfinished then; it is not sent\. Wait\./,
      );
    const later = `${await posthorn.ingest(down)}.${down}`;
    await expectWhy(
      t,
      posthorn,
      later,
      ['held', 'paused'],
      RegExp(
        `Held: subscription ${down} is paused since ${UTC} \\("It is being enabled: its owed deliveries are being skipped"\\)\\. Wait until the deliveries from before are cancelled\\.`,
      ),
    );
    await client.query('rollback');
    for (const delivery of [retried, held])
      await expectWhy(
        t,
        posthorn,
        delivery,
        ['cancelled', 'skipped'],
        RegExp(
          `Cancelled at ${UTC}: subscription \\d+ was enabled with \`backlog\` skip, which cancels what was unfinished\\. POST .*`,
        ),
      );
  });
}
