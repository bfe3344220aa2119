// The screens of bulk operations: each is started, watched and ended in the browser, and its effect seen at a receiver.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

let status = 200;
const receiver = await startReceiver(t, (response) => {
  response.statusCode = status;
  response.end();
});
const posthorn = await startTestService(t, {
  POSTHORN_RETRY_SCHEDULE: '10ms',
  POSTHORN_CIRCUIT: 'off',
});

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const link = (page: Page, name: string) => page.getByRole('link', { name, exact: true });
const receivedAt = (path: string) => receiver.received.filter((one) => one.path === `/${path}`);

async function create(path: string): Promise<number> {
  return await posthorn.subscribe(`${receiver.url}/${path}`);
}

async function statesOf(id: number): Promise<string[]> {
  const { json } = await posthorn.request('GET', `/v1/deliveries?subscription_id=${id}`);
  return json.data.map(({ state }: { state: string }) => state);
}

async function untilAll(id: number, state: string): Promise<void> {
  await until(`all are ${state}`, async () => {
    const states = await statesOf(id);
    return states.length > 0 && states.every((one) => one === state);
  });
}

testInBrowser('what failed is sent again, by keyboard alone', {}, async (t, { page }) => {
  const id = await create('recovered');
  status = 500;
  for (let n = 0; n < 3; n++) await posthorn.ingest(id, { n });
  await untilAll(id, 'failed');
  status = 200;
  const before = receivedAt('recovered').length;
  await openScreen(page, posthorn, 'tasks');
  await page.getByText('There are no bulk operations').waitFor();
  await page.getByText(`curl ${posthorn.url}/v1/subscriptions/1/recover`).waitFor();
  await checkLooks(t, page, 'no operations');
  await link(page, 'New operation').focus();
  await page.keyboard.press('Enter');
  await page.getByLabel('Subscription').focus();
  await page.keyboard.type(`${id}`);
  await page.keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Recover' }).waitFor();
  t.match(page.url(), /\/dashboard\/tasks\/[0-9a-f-]{36}/);
  await page.getByText('3 changed').waitFor();
  await untilAll(id, 'succeeded');
  t.equal(receivedAt('recovered').length, before + 3);
});

testInBrowser('a replay shows its progress, and is cancelled', {}, async (t, { page }) => {
  const id = await create('replayed');
  // At one a second it outlasts what the page needs on a busy machine.
  for (let n = 0; n < 90; n++) await posthorn.ingest(id, { n });
  await untilAll(id, 'succeeded');
  await openScreen(page, posthorn, `subscriptions/${id}`);
  await link(page, 'Replay').click();
  await page.getByLabel('succeeded').check();
  await page.getByLabel('failed', { exact: true }).uncheck();
  await page.getByLabel('cancelled', { exact: true }).uncheck();
  await page.getByLabel('Deliveries a second, at most').fill('1');
  await button(page, 'Start').click();
  await page.getByRole('progressbar').waitFor();
  await checkLooks(t, page, 'an operation that runs');
  await button(page, 'Cancel the operation').click();
  await page.getByRole('dialog').getByText('The operation stops.').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel the operation' }).click();
  await page.getByText('cancelled', { exact: true }).waitFor();
  const { json } = await posthorn.request('GET', '/v1/tasks?limit=1');
  t.match(json.data[0], { kind: 'replay', state: 'cancelled', rate: 1, states: ['succeeded'] });
  t.ok(json.data[0].changed < 90);
  t.equal(await page.getByRole('progressbar').count(), 0);
});

testInBrowser('what waits is cancelled, for all only after a word', {}, async (t, { page }) => {
  const id = await create('cancelled');
  await posthorn.request('POST', `/v1/subscriptions/${id}/pause`, {});
  for (let n = 0; n < 2; n++) await posthorn.ingest(id, { n });
  await openScreen(page, posthorn, 'tasks/new?kind=cancel');
  await checkLooks(t, page, 'the form of a new operation');
  await button(page, 'Cancel these deliveries').click();
  t.ok(await button(page, 'Cancel them').isDisabled());
  await page.getByLabel(/To confirm, type/).fill('all');
  await button(page, 'Cancel them').click();
  await page.getByText('2 changed').waitFor();
  t.strictSame(await statesOf(id), ['cancelled', 'cancelled']);
  await link(page, 'Bulk operations').first().click();
  await page.getByRole('row').filter({ hasText: 'all subscriptions' }).waitFor();
  await checkLooks(t, page, 'tasks');
});

testInBrowser('the form says what is missing', {}, async (t, { page, problems }) => {
  await openScreen(page, posthorn, 'tasks/new');
  await button(page, 'Start').click();
  await page.getByText('must be the id of a subscription').waitFor();
  await page.getByLabel('Subscription').fill('77');
  await button(page, 'Start').click();
  await page.getByText(/There is no subscription/).waitFor();
  t.match(await untilNoted(problems), [/^404 POST/]);
  await page.getByLabel('Accepted from').fill('');
  await button(page, 'Start').click();
  await page.getByText('since must be a time').waitFor();
});
