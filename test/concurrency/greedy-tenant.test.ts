// A tenant whose receivers hang, however many it has and however much it sends, holds up nobody else's.
import t, { type Test } from 'tap';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

/** Longer than any of these tests takes. */
const TIMEOUT = '60s';

async function start(t: Test, maxInFlight = 300) {
  let answers = false;
  const hung = await startReceiver(t, (response) => {
    if (answers) response.end();
  });
  const well = await startReceiver(t);
  const posthorn = await startTestService(t, {
    POSTHORN_DELIVERY_TIMEOUT: TIMEOUT,
    POSTHORN_MAX_IN_FLIGHT: String(maxInFlight),
    POSTHORN_SHUTDOWN_GRACE: '100ms',
  });
  for (const id of ['greedy', 'modest']) await posthorn.request('POST', '/v1/tenants', { id });
  const subscribe = async (tenant: string, url: string): Promise<number> =>
    (await posthorn.request('POST', `/v1/subscriptions?tenant=${tenant}`, { url })).json.id;
  const send = async (tenant: string, subscription_id: number, data: unknown) => {
    const sent = { event_type: 'order.created', subscription_id, data };
    const { status, text } = await posthorn.request('POST', `/v1/webhooks?tenant=${tenant}`, sent);
    if (status !== 202) throw new Error(text);
  };
  /** Sends to a receiver that nothing is known of yet, and waits until it has come. */
  const deliverModest = async (data: unknown) => {
    const before = well.received.length;
    await send('modest', await subscribe('modest', well.url), data);
    await until(
      "the other tenant's webhook has come",
      () => well.received.length > before,
      TOLD_MS,
    );
  };
  /** Subscribes many receivers of the greedy tenant, which answer one webhook each before they hang. */
  const subscribeProven = async (count: number) => {
    answers = true;
    const ids = await Promise.all(
      Array.from({ length: count }, () => subscribe('greedy', hung.url)),
    );
    await Promise.all(ids.map((id) => send('greedy', id, 0)));
    await hung.waitFor(count);
    answers = false;
    return ids;
  };
  return { hung, subscribe, subscribeProven, send, deliverModest };
}

t.test('as many hanging receivers as there are places leave some to a new one', async (t) => {
  const { hung, subscribe, send, deliverModest } = await start(t);
  const ids = await Promise.all(Array.from({ length: 60 }, () => subscribe('greedy', hung.url)));
  for (let n = 0; n < 10; n++) await Promise.all(ids.map((id) => send('greedy', id, n)));
  await until('they hang', () => hung.received.length > 60);
  for (let n = 0; n < 3; n++) await deliverModest(n);
  t.pass('each within seconds');
});

t.test('large bodies for receivers that hang leave memory for those of others', async (t) => {
  const { hung, subscribe, send, deliverModest } = await start(t);
  const large = 'x'.repeat(1_000_000);
  const ids = await Promise.all(Array.from({ length: 10 }, () => subscribe('greedy', hung.url)));
  for (let n = 0; n < 5; n++) await Promise.all(ids.map((id) => send('greedy', id, large)));
  await until('they hang', () => hung.received.length > 10);
  for (let n = 0; n < 3; n++) {
    await deliverModest(n);
    await deliverModest(large);
  }
  t.pass('each within seconds, large ones too');
});

t.test('small bodies for receivers that hang leave memory for those of others', async (t) => {
  const { hung, subscribeProven, send, deliverModest } = await start(t, 1000);
  const ids = await subscribeProven(60);
  const small = 'x'.repeat(63_000);
  for (let n = 0; n < 10; n++) await Promise.all(ids.map((id) => send('greedy', id, small)));
  await until('they hang', () => hung.received.length > 400);
  for (let n = 0; n < 3; n++) await deliverModest(small);
  t.pass('each within seconds');
});
