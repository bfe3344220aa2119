import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { startTestService, type TestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const SLOW_DATA = `${'a'.repeat(40)}b`;
/** Of two threads and a restart, on a busy machine; it was 300 s. */
const FAIR_MS = 5_000;
/** More than the thread for slow schemas judges in the time that anything waits for it. */
const SLOW_TYPES = 12;

interface LogLine {
  readonly level: number;
  readonly tenant?: string;
  readonly event_type?: string;
  readonly msg: string;
}

/** A service with a tenant `slow`, whose schemas never end, and a tenant `quick`; both validate. */
async function startWithTenants(t: Test, log?: pino.Logger) {
  const posthorn = await startTestService(t, {}, log);
  const ask = (tenant: string, method: string, path: string, body: unknown) =>
    posthorn.request(method, `/v1/${path}?tenant=${tenant}`, body);
  for (const id of ['slow', 'quick']) {
    await posthorn.request('POST', '/v1/tenants', { id });
    await ask(id, 'PATCH', 'event-type-settings', { validate: true });
  }
  const schema = { type: 'object', required: ['id'] };
  await ask('quick', 'POST', 'event-types', { name: 'order.created', schema });
  for (let n = 0; n < SLOW_TYPES; n += 1) {
    // Each is another text, and so another schema.
    const evil = { pattern: '^(a+)+$', $comment: `${n}` };
    await ask('slow', 'POST', 'event-types', { name: `slow${n}`, schema: evil });
  }
  return { posthorn, ask };
}

type Ask = Awaited<ReturnType<typeof startWithTenants>>['ask'];

const sendSlow = (ask: Ask, n: number) =>
  ask('slow', 'POST', 'webhooks', { event_type: `slow${n}`, data: SLOW_DATA });

/** Sends validated webhooks one after the other until it is over. */
async function sendUntil(t: Test, ask: Ask, isOver: () => boolean): Promise<number> {
  let slowestMs = 0;
  for (let n = 0; n < 5 || !isOver(); n += 1) {
    const start = performance.now();
    const data = n % 2 === 0 ? { id: n } : {};
    const { status, text } = await ask('quick', 'POST', 'webhooks', {
      event_type: 'order.created',
      data,
    });
    slowestMs = Math.max(slowestMs, performance.now() - start);
    if (status !== (n % 2 === 0 ? 202 : 400)) t.fail(`${status} ${text}`);
    // Sending all the time would take more of the machine than the slow schemas.
    await sleep(10);
  }
  return slowestMs;
}

t.test(
  'slow schemas of a tenant delay no other tenant, and the answer names the schema',
  async (t) => {
    const lines: LogLine[] = [];
    const log = pino(
      new Writable({
        write(line: Buffer, _encoding, done) {
          lines.push(JSON.parse(line.toString()));
          done();
        },
      }),
    );
    const { ask } = await startWithTenants(t, log);
    let isOver = false;
    const attack = Promise.all(Array.from({ length: SLOW_TYPES }, (_, n) => sendSlow(ask, n)));
    void attack.finally(() => {
      isOver = true;
    });
    const slowestMs = await sendUntil(t, ask, () => isOver);
    t.ok(slowestMs < FAIR_MS, `the slowest webhook of the other took ${slowestMs.toFixed(0)} ms`);

    const answers = await attack;
    const toldSlow = answers.filter(({ status }) => status === 400);
    t.ok(toldSlow.length > 0, 'some were judged');
    for (const { json } of toldSlow)
      t.match(json.errors, [
        {
          field: 'body.data',
          message: /schema of slow\d+: .*took longer than 1000 ms; simplify it/,
        },
      ]);
    // The others waited for as long as anything waits, or are more than a tenant may have waiting.
    for (const { status, headers } of answers.filter((answer) => !toldSlow.includes(answer))) {
      t.ok(status === 503 || status === 429, `${status}`);
      t.ok(Number(headers.get('retry-after')) > 0);
    }
    const warned = lines.filter(
      ({ msg }) => msg === 'gave up on a JSON Schema that took too long or too much memory',
    );
    t.equal(warned.length, toldSlow.length, 'each is in the log once');
    t.match(warned, [{ level: 40, tenant: 'slow', event_type: /^slow\d+$/ }]);
  },
);

t.test('a long attack has no more effect than a short one', async (t) => {
  const { ask } = await startWithTenants(t);
  await sendSlow(ask, 0);
  let isOver = false;
  const attack = (async () => {
    for (let n = 1; n < 4; n += 1) await sendSlow(ask, n);
  })().finally(() => {
    isOver = true;
  });
  const slowestMs = await sendUntil(t, ask, () => isOver);
  // The slow schemas are in the other thread from their first one on.
  t.ok(slowestMs < FAIR_MS / 2, `the slowest webhook of the other took ${slowestMs.toFixed(0)} ms`);
  await attack;
});

t.test('the owner of a slow schema can archive its type and fix the schema', async (t) => {
  const { ask } = await startWithTenants(t);
  const slow = { pattern: '^(a+)+$' };
  await ask('slow', 'POST', 'event-types', { name: 'own', schema: slow });
  const example = await ask('slow', 'PATCH', 'event-types/own', { example: SLOW_DATA });
  t.match(example, {
    status: 400,
    json: { errors: [{ field: 'body.schema', message: /simplify/ }] },
  });
  t.match(await ask('slow', 'PATCH', 'event-types/own', { archived: true }), { status: 200 });
  const schema = { pattern: '^a+b$' };
  const mended = await ask('slow', 'PATCH', 'event-types/own', { schema, example: SLOW_DATA });
  t.match(mended, { status: 200, json: { schema, example: SLOW_DATA } });
  await until('the mended schema is used', async () => {
    const { status } = await ask('slow', 'POST', 'webhooks', {
      event_type: 'own',
      data: SLOW_DATA,
    });
    return status === 202;
  });
});

t.test('a batch stops at a schema that is too slow', async (t) => {
  const { ask } = await startWithTenants(t);
  const webhooks = Array.from({ length: SLOW_TYPES }, (_, n) => ({
    event_type: `slow${n}`,
    data: SLOW_DATA,
  }));
  const { status, json } = await ask('slow', 'POST', 'webhooks/batch', { webhooks });
  t.equal(status, 400);
  t.match(json.errors, [{ field: 'body.webhooks.0.data', message: /slow0/ }]);
  t.equal(json.errors.length, 1);
});

t.test('concurrent validations get their own answers from the thread', async (t) => {
  const { posthorn, ask } = await startWithTenants(t);
  await sendSlow(ask, 0);
  const send = async (n: number, service: TestService = posthorn) => {
    const fits = n % 3 !== 0;
    const { status } = await service.request('POST', '/v1/webhooks?tenant=quick', {
      event_type: 'order.created',
      data: fits ? { id: n } : { n },
    });
    return (status === 202) === fits;
  };
  // One that is ended in the quick thread, with all others around it.
  const other = ask('slow', 'POST', 'webhooks', { event_type: 'slow1', data: SLOW_DATA });
  const right = await Promise.all(Array.from({ length: 300 }, (_, n) => send(n)));
  t.ok(right.every(Boolean));
  await other;
});
