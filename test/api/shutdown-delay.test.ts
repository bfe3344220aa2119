import { Agent, get, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import t from 'tap';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

interface Answer {
  readonly status: number | undefined;
  readonly connection: string | undefined;
  readonly body: string;
}

/** Sends a request. Without an agent, on a connection of its own. */
function send(url: string, agent: Agent | false, body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const onAnswer = async (answer: IncomingMessage) => {
      const { statusCode: status, headers } = answer;
      resolve({ status, connection: headers.connection, body: await text(answer) });
    };
    const asked =
      body === undefined
        ? get(url, { agent }, onAnswer)
        : request(
            url,
            { method: 'POST', agent, headers: { 'content-type': 'application/json' } },
            onAnswer,
          ).end(body);
    asked.on('error', reject);
  });
}

t.test(
  'a process that stops says so in /readyz, and takes requests until balancers have read it',
  async (t) => {
    const posthorn = await startTestService(t, { POSTHORN_SHUTDOWN_DELAY: '10s' });
    const id = await posthorn.subscribe('https://receiver.invalid/hook');
    const kept = new Agent({ keepAlive: true, maxSockets: 1 });
    t.teardown(() => kept.destroy());
    const ingest = (agent: Agent | false) => send(`${posthorn.url}/ingest/${id}`, agent, '{}');
    t.match(await ingest(kept), { status: 202, connection: 'keep-alive' });
    const ready = () => send(`${posthorn.url}/readyz`, false);
    t.match(await ready(), { status: 200 });

    let hasStopped = false;
    const stop = posthorn.service.stop().then(() => {
      hasStopped = true;
    });
    const refusal = await until('/readyz says that it is not ready', async () => {
      const answer = await ready();
      return answer.status === 503 && answer;
    });
    t.match(refusal.body, /This process is stopping/);
    const answers = [await ingest(kept), await ingest(kept), await ingest(false)];
    for (const answer of answers)
      t.match(answer, { status: 202, connection: 'close' }, 'the connection ends with the answer');
    t.equal(hasStopped, false);
    await stop;
    await t.rejects(ready(), { code: 'ECONNREFUSED' }, 'it listens no more');
  },
);

t.test('a worker does not wait for balancers when it stops', async (t) => {
  const posthorn = await startTestService(t, {
    POSTHORN_ROLE: 'worker',
    POSTHORN_SHUTDOWN_DELAY: '5m',
  });
  t.equal((await posthorn.request('GET', '/readyz')).status, 200);
  await t.resolves(posthorn.service.stop());
});
