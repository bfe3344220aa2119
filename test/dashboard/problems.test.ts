// The screen of problems: each is shown with its next step, and the button does it at a real receiver.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const HOSTILE = `"'><img src=x onerror="document.title='hacked'">`;
let mended = false;
const receiver = await startReceiver(t, (response, { path }) => {
  if (!mended) response.statusCode = Number(path.slice(1, 4));
  response.end(HOSTILE);
});
const posthorn = await startTestService(t, {
  POSTHORN_RETRY_SCHEDULE: '10ms,20ms',
  POSTHORN_CIRCUIT: 'off',
});

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const problemOf = (page: Page, path: string) =>
  page.getByRole('listitem').filter({ hasText: path });
const receivedAt = (path: string) =>
  receiver.received.filter((one) => one.path.startsWith(`/${path}`));

async function fail(path: string, webhooks: number, fields: object = {}): Promise<number> {
  mended = false;
  const { json } = await posthorn.request('POST', '/v1/subscriptions', {
    url: `${receiver.url}/${path}`,
    ...fields,
  });
  for (let n = 0; n < webhooks; n++) await posthorn.ingest(json.id, { n });
  await until('they have failed', async () => {
    const { json: page } = await posthorn.request('GET', `/v1/problems?subscription_id=${json.id}`);
    return page.data[0]?.failed === webhooks || page.data[0]?.waiting === webhooks;
  });
  return json.id;
}

testInBrowser('without failures, the page says so', {}, async (t, { page }) => {
  await openScreen(page, posthorn, 'problems');
  await page.getByText('No receiver has a problem').waitFor();
  await checkLooks(t, page, 'no problems');
});

testInBrowser('what failed is sent again when the receiver is mended', {}, async (t, { page }) => {
  const path = `503?x=${encodeURIComponent(HOSTILE)}`;
  await fail(path, 2);
  await openScreen(page, posthorn, 'problems');
  const problem = problemOf(page, '/503');
  await problem.getByText(/answers 503 Service Unavailable/).waitFor();
  await problem.getByText('6 failed attempts').waitFor();
  await problem.getByText('2 deliveries failed').waitFor();
  t.not(await page.title(), 'hacked');
  await checkLooks(t, page, 'problems');
  await page.keyboard.press('j');
  t.equal(await page.evaluate('document.activeElement.hasAttribute("data-row")'), true);
  const before = receivedAt('503').length;
  mended = true;
  await problem.getByRole('button', { name: 'Send again what failed' }).click();
  await page.getByText('Do this when the receiver is mended').waitFor();
  await page.getByRole('dialog').getByRole('button', { name: 'Send again what failed' }).click();
  await page.getByRole('heading', { name: 'Recover' }).waitFor();
  await until('both have come', () => receivedAt('503').length === before + 2);
});

testInBrowser('an example leads to its webhook, and the URL is mended', {}, async (t, { page }) => {
  const id = await fail('404-wrong', 1);
  await openScreen(page, posthorn, 'problems?window=1h');
  const problem = problemOf(page, '/404-wrong');
  await problem.getByRole('link', { name: 'first example' }).click();
  await page.waitForURL(/\/webhooks\//);
  await page.goBack();
  await problem.getByRole('link', { name: 'Edit the URL' }).click();
  await page.getByLabel('URL').fill(`${receiver.url}/200-right`);
  await button(page, 'Save').click();
  await page.getByRole('heading', { name: `${receiver.url}/200-right` }).waitFor();
  t.match((await posthorn.request('GET', `/v1/subscriptions/${id}`)).json, {
    url: `${receiver.url}/200-right`,
  });
});

testInBrowser('a single delivery that waits is retried at once', {}, async (_t, { page }) => {
  await fail('500-once', 1, { retry_schedule: '1h' });
  await openScreen(page, posthorn, 'problems');
  const problem = problemOf(page, '/500-once');
  mended = true;
  await problem.getByRole('button', { name: 'Retry it now' }).click();
  await until('it has come', () => receivedAt('500-once').length === 2);
  await problem.waitFor({ state: 'detached' });
});
