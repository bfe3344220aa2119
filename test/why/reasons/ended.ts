import type { Test } from 'tap';
import { connect } from '../../helpers/database.ts';
import { startTestService } from '../../helpers/service.ts';
import { expectWhy, startByPath, UTC } from './expect.ts';

export async function endedDeliveries(t: Test): Promise<void> {
  await t.test('deliveries that have ended', async (t) => {
    const url = await startByPath(t);
    const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '20ms,20ms' });
    const client = await connect(t, posthorn.databaseUrl);

    const well = await posthorn.subscribe(url('200'));
    const delivered = `${await posthorn.ingest(well)}.${well}`;
    const done = await expectWhy(
      t,
      posthorn,
      delivered,
      ['succeeded', 'delivered'],
      RegExp(`Delivered at ${UTC} by attempt 1: the receiver answered 200\\.`),
    );
    t.match(done, {
      ended_at: String,
      since: done.ended_at,
      attempt: { number: 1, position: 1, of: 3 },
      last_attempt: { number: 1, status: 'success', response_code: 200 },
      next_attempt_at: null,
    });

    const gone = await posthorn.subscribe(url('410'));
    await expectWhy(
      t,
      posthorn,
      `${await posthorn.ingest(gone)}.${gone}`,
      ['failed', 'gone'],
      RegExp(
        `Failed at ${UTC}: the receiver answered attempt 1 with 410 Gone, which asks for no further attempts\\. PATCH /v1/subscriptions/${gone} with the right \`url\`, or POST /v1/subscriptions/${gone}/enable if the receiver is back, or POST /v1/deliveries/\\S+/retry to send it again\\.`,
      ),
    );

    const blocked = await posthorn.subscribe(url('200'));
    await client.query(
      `update posthorn.subscriptions set url = 'http://10.1.2.3/' where id = ${blocked}`,
    );
    await expectWhy(
      t,
      posthorn,
      `${await posthorn.ingest(blocked)}.${blocked}`,
      ['failed', 'blocked'],
      RegExp(
        `Failed at ${UTC}: attempt 1 was not made, because the URL leads to an address that is not allowed \\("Not sent: .*10\\.1\\.2\\.3.*"\\)\\. PATCH .*`,
      ),
    );

    const down = await posthorn.subscribe(url('500'));
    const failed = `${await posthorn.ingest(down)}.${down}`;
    const last = await expectWhy(
      t,
      posthorn,
      failed,
      ['failed', 'attempts_used_up'],
      RegExp(
        `Failed at ${UTC}: attempt 3 of 3, the last one, failed with "The receiver answered 500 Internal Server Error"\\. Mend the receiver, or POST /v1/deliveries/${failed}/retry to send it again\\.`,
      ),
    );
    const retry = last.change.find(({ action }: { action: string }) => action === 'retry');
    t.equal(retry.sql, `select posthorn.retry('${last.webhook_id}', ${down})`);
    t.equal((await posthorn.request(retry.request.method, retry.request.path)).status, 202);
    await expectWhy(
      t,
      posthorn,
      failed,
      ['failed', 'attempts_used_up'],
      RegExp(`Failed at ${UTC}: attempt 6 \\(3 of 3 in its schedule\\), the last one, failed .*`),
    );
  });
}
