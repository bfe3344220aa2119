import type { Test } from 'tap';
import { startCli } from '../../helpers/cli.ts';
import { connect } from '../../helpers/database.ts';
import { untilHandedOver } from '../../helpers/deliver-jobs.ts';
import { subscribeAs } from '../../helpers/health.ts';
import { startTestService } from '../../helpers/service.ts';
import { until } from '../../helpers/until.ts';
import { expectWhy, sendFromSql, startByPath, UTC } from './expect.ts';

export async function deliveriesInWorkers(t: Test): Promise<void> {
  await t.test('deliveries that are due, and in the memory or the queue of a worker', async (t) => {
    const url = await startByPath(t);
    const posthorn = await startTestService(t);
    const client = await connect(t, posthorn.databaseUrl);

    await untilHandedOver(t, posthorn, await posthorn.subscribe(url('200')));
    const hanging = await subscribeAs(posthorn, { url: url('hangs'), event_types: ['queued'] });
    const handed = `${await posthorn.ingest(hanging)}.${hanging}`;
    const { worker } = await expectWhy(
      t,
      posthorn,
      handed,
      ['pending', 'handed_over'],
      RegExp(
        `Pending: worker \\d+ has had it in memory since it was accepted at ${UTC}, and is sending it now or waits for a free place at its receiver.*\\. Wait\\.`,
      ),
    );
    t.match(worker, { id: Number, alive: true });

    const [sent] = await sendFromSql(client, 'queued');
    const queued = `${sent}.${hanging}`;
    await expectWhy(
      t,
      posthorn,
      queued,
      ['pending', 'queued'],
      RegExp(
        `Pending: it is due since ${UTC}, and waits for its turn in the queue or is being sent now.*\\. Wait\\.`,
      ),
    );
    await until('the worker tells how many requests are open', async () => {
      const { json } = await posthorn.request('GET', `/v1/deliveries/${queued}/why`);
      return json.in_flight === 2 && /; 2 requests were open at the last count\./.test(json.why);
    });

    await posthorn.request('POST', `/v1/subscriptions/${hanging}/pause`, { reason: 'lunch' });
    for (const [delivery, where] of [
      [handed, 'in the memory of a worker'],
      [queued, 'in the queue'],
    ] as const)
      await expectWhy(
        t,
        posthorn,
        delivery,
        ['pending', 'to_be_held'],
        RegExp(
          `Pending: it is due since ${UTC} and ${where}; unless its request is open already, the worker will hold it, because subscription ${hanging} is paused since ${UTC} \\("lunch"\\)\\. POST /v1/subscriptions/${hanging}/resume to send what is held\\.`,
        ),
      );
  });

  await t.test('a delivery whose worker was killed', async (t) => {
    const url = await startByPath(t);
    const posthorn = await startTestService(t);
    const hanging = await posthorn.subscribe(url('hangs'));
    const answering = await posthorn.subscribe(url('200'));
    // The other worker looks every five seconds, and may look just now.
    for (let tries = 0; tries < 10; tries++) {
      const other = await startCli(t, ['start'], { DATABASE_URL: posthorn.databaseUrl });
      const base = await other.url();
      const ingest = async (id: number) => {
        const response = await fetch(`${base}/ingest/${id}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json' },
          body: '{}',
        });
        return ((await response.json()) as { webhook_id: string }).webhook_id;
      };
      await untilHandedOver(t, { databaseUrl: posthorn.databaseUrl, ingest }, answering);
      const delivery = `${await ingest(hanging)}.${hanging}`;
      const ask = async () =>
        (await posthorn.request('GET', `/v1/deliveries/${delivery}/why`)).json;
      t.match(await ask(), { reason: 'handed_over', worker: { alive: true } });
      other.kill('SIGKILL');
      await other.exited;
      const { reason } = await until('it is known', async () => {
        const why = await ask();
        return why.reason !== 'handed_over' && why;
      });
      if (reason !== 'worker_ended') continue;
      return await expectWhy(
        t,
        posthorn,
        delivery,
        ['pending', 'worker_ended'],
        RegExp(
          `Pending: worker \\d+, which had it in memory since it was accepted at ${UTC}, has ended; another worker adds a job for it within seconds\\. Wait\\.`,
        ),
      );
    }
    t.fail('the other worker was always faster');
  });
}
