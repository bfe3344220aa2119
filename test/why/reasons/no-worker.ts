import type { Test } from 'tap';
import { connect } from '../../helpers/database.ts';
import { subscribeAs } from '../../helpers/health.ts';
import { startTestService } from '../../helpers/service.ts';
import { expectWhy, sendFromSql, UTC } from './expect.ts';

export async function deliveriesWithoutWorker(t: Test): Promise<void> {
  await t.test('deliveries without a worker, and those of a deleted subscription', async (t) => {
    const api = await startTestService(t, { POSTHORN_ROLE: 'api' });
    const client = await connect(t, api.databaseUrl);
    const subscribe = (event_type: string, ordering = 'none') =>
      subscribeAs(api, { url: 'https://example.com/', event_types: [event_type], ordering });

    for (const [type, ordering, state, work] of [
      ['one', 'none', 'pending', 'takes jobs from the queue'],
      ['two', 'strict', 'held', 'sends held deliveries'],
    ] as const) {
      const id = await subscribe(type, ordering);
      const sent = await sendFromSql(client, type, 1_100);
      await expectWhy(
        t,
        api,
        `${sent[0]}.${id}`,
        [state, 'no_worker'],
        RegExp(
          `${state === 'held' ? 'Held' : 'Pending'}: it is due since ${UTC}, and no worker is running that ${work}\\. Start a worker \\(\`posthorn start\`\\)\\.`,
        ),
      );
      const { json } = await api.request('DELETE', `/v1/subscriptions/${id}`);
      t.match(json, { cancelled: 1_000, task: String });
      const ofState = async (state: string) => {
        const { rows } = await client.query<{ id: string }>(
          `select webhook_id || '.' || subscription_id as id from posthorn.deliveries
           where subscription_id = $1 and state = $2 limit 1`,
          [id, state],
        );
        return rows[0]?.id as string;
      };
      await expectWhy(
        t,
        api,
        await ofState(state),
        [state, 'cancelling'],
        RegExp(
          `Being cancelled: subscription ${id} was deleted at ${UTC}, and a worker cancels its deliveries in batches; it is not sent\\. Wait\\.`,
        ),
      );
      await expectWhy(
        t,
        api,
        await ofState('cancelled'),
        ['cancelled', 'subscription_deleted'],
        RegExp(
          `Cancelled at ${UTC}, because subscription ${id} was deleted\\. Send it as a new webhook\\.`,
        ),
      );
    }
  });
}
