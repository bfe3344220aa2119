// The list of webhooks: filters, pages, live, and keyboard.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const receiver = await startReceiver(t, (response, { path }) => {
  response.statusCode = path === '/fails' ? 503 : 200;
  response.end();
});
const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '10ms' });
const subscribe = async (path: string, event_types: string[]) =>
  (
    await posthorn.request('POST', '/v1/subscriptions', {
      url: `${receiver.url}${path}`,
      event_types,
    })
  ).json.id as number;
const send = async (event_type: string) =>
  (await posthorn.request('POST', '/v1/webhooks', { event_type, data: {} })).json
    .webhook_id as string;

const good = await subscribe('/takes', ['order.*', 'page.*']);
const bad = await subscribe('/fails', ['order.failing']);
const failing = await send('order.failing');
await send('order.created');
await until('all have ended', async () => {
  const { json } = await posthorn.request('GET', '/v1/deliveries');
  return json.data.every(({ ended_at }: { ended_at: string | null }) => ended_at !== null);
});

const rows = (page: Page) => page.locator('tbody tr');
const rowsBecome = (page: Page, count: number) =>
  until(`there are ${count} rows`, async () => (await rows(page).count()) === count);
const queryOf = (page: Page) => Object.fromEntries(new URL(page.url()).searchParams);

testInBrowser('the list says in which states deliveries are', {}, async (t, { page }) => {
  await openScreen(page, posthorn, 'webhooks');
  await rowsBecome(page, 2);
  t.match(await rows(page).nth(0).textContent(), /order\.created.*succeeded/);
  t.match(await rows(page).nth(1).textContent(), /order\.failing.*1 failed.*1 succeeded/);
  await checkLooks(t, page, 'the list');
});

testInBrowser(
  'each filter is in the URL, works after a reload, and can be cleared',
  {},
  async (t, { page }) => {
    await openScreen(page, posthorn, 'webhooks');
    await page.getByLabel('Event type or id').fill('order.created');
    await page.keyboard.press('Enter');
    await rowsBecome(page, 1);
    t.strictSame(queryOf(page), { event_type: 'order.created' });
    await page.reload();
    await rowsBecome(page, 1);
    await page.getByRole('link', { name: 'Clear' }).click();
    await rowsBecome(page, 2);

    await page.getByLabel('Subscription').fill(String(bad));
    await page.keyboard.press('Enter');
    await rowsBecome(page, 1);
    t.match(await rows(page).textContent(), /failed.*\/fails/);
    await page.getByLabel('State').selectOption('succeeded');
    await page.getByText('Nothing matches').waitFor();
    await checkLooks(t, page, 'nothing matches');
    t.strictSame(queryOf(page), { subscription_id: String(bad), state: 'succeeded' });
    await page.goBack();
    await rowsBecome(page, 1);
    await page.getByLabel('Subscription').fill(String(good));
    await page.keyboard.press('Enter');
    await rowsBecome(page, 2);

    await openScreen(page, posthorn, 'webhooks');
    await page.getByLabel('From').fill('2020-01-01T00:00');
    await page.getByLabel('Until').fill('2020-01-02T00:00');
    await page.keyboard.press('Tab');
    await page.getByText('Nothing matches').waitFor();
    t.match(queryOf(page), { since: /^(2019-12-31|2020-01-01)T/, until: /^2020-01-0/ });
  },
);

testInBrowser(
  'what the API does not take is shown at its field',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, posthorn, 'webhooks');
    await page.getByLabel('Event type or id').fill('<b>no type</b>');
    await page.keyboard.press('Enter');
    await page.locator('.field-error').first().waitFor();
    t.match(
      await page.locator('.field-error').textContent(),
      /^event_type must be an event type: words/,
    );
    t.equal(await page.locator('b').count(), 0);
    await until('the answer is noted', () => problems.length > 0);
    t.match(problems.splice(0), [/^400 GET/]);
  },
);

testInBrowser(
  'a webhook is found by its id, and by the id of a delivery',
  {},
  async (t, { page }) => {
    for (const id of [failing, `${failing}.${bad}`, `  ${failing.toUpperCase()} `]) {
      await openScreen(page, posthorn, 'webhooks');
      await page.getByLabel('Event type or id').fill(id);
      await page.keyboard.press('Enter');
      await page.getByRole('heading', { name: 'order.failing' }).waitFor();
      t.equal(new URL(page.url()).pathname, `/dashboard/webhooks/${failing}`);
    }
  },
);

testInBrowser(
  'new webhooks come by themselves, but not while somebody reads',
  {},
  async (t, { page }) => {
    await openScreen(page, posthorn, 'webhooks?event_type=order.live');
    await page.getByText('Nothing matches').waitFor();
    await send('order.live');
    await rowsBecome(page, 1);

    await rows(page).first().hover();
    await page.getByText('Live: waits').waitFor();
    await send('order.live');
    await page.mouse.move(0, 0);
    await rowsBecome(page, 2);

    await page.getByRole('button', { name: 'Live' }).click();
    await page.getByText('Live: off').waitFor();
    t.match(queryOf(page), { live: 'off' });
  },
);

testInBrowser('pages lead forwards and back', {}, async (t, { page }) => {
  for (let n = 0; n < 60; n += 1) await send('page.turned');
  await openScreen(page, posthorn, 'webhooks?event_type=page.turned');
  await rowsBecome(page, 50);
  const first = await rows(page).first().textContent();
  await page.getByRole('button', { name: 'Next' }).click();
  await rowsBecome(page, 10);
  t.match(queryOf(page), { event_type: 'page.turned', cursor: /./ });
  t.ok(await page.getByRole('button', { name: 'Next' }).isDisabled());
  await page.reload();
  await rowsBecome(page, 10);
  await page.getByRole('button', { name: 'Previous' }).click();
  await rowsBecome(page, 50);
  t.equal(await rows(page).first().textContent(), first);
});

testInBrowser('all of it works with a keyboard alone', {}, async (t, { page }) => {
  await openScreen(page, posthorn, 'webhooks');
  await rows(page).first().waitFor();
  await page.keyboard.press('/');
  await page.keyboard.type('order.created');
  await page.keyboard.press('Enter');
  await rowsBecome(page, 1);
  // In a field, a letter is a letter.
  await page.keyboard.type('jk?');
  t.equal(await page.getByLabel('Event type or id').inputValue(), 'order.createdjk?');
  await page.keyboard.press('Escape');
  t.equal(await page.getByLabel('Event type or id').inputValue(), 'order.created');
  t.strictSame(queryOf(page), { event_type: 'order.created' });
  await openScreen(page, posthorn, 'webhooks');
  await rows(page).nth(2).waitFor();
  const focused = () => page.evaluate<string>('document.activeElement.getAttribute("href")');
  await page.keyboard.press('j');
  const one = await focused();
  await page.keyboard.press('j');
  t.not(await focused(), one);
  await page.keyboard.press('k');
  t.equal(await focused(), one);
  await page.keyboard.press('Enter');
  await page.waitForURL(`**${one}`);
  await page.getByRole('heading', { name: 'Deliveries' }).waitFor();

  await page.keyboard.press('?');
  await page.getByRole('dialog').waitFor();
  await checkLooks(t, page, 'the help');
  await page.getByLabel('Single keys do this').uncheck();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await openScreen(page, posthorn, 'webhooks');
  await rows(page).first().waitFor();
  await page.keyboard.press('/');
  t.equal(await page.evaluate('document.activeElement === document.body'), true, 'keys are off');
});

testInBrowser(
  'webhooks are searched by how a delivery was answered, and by what is in them',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, posthorn, 'webhooks');
    await page.getByText('More filters').click();
    await page.getByLabel('Answer').fill('503');
    await page.keyboard.press('Enter');
    await rowsBecome(page, 1);
    t.match(await rows(page).first().textContent(), /order\.failing/);
    t.strictSame(queryOf(page), { response_code: '503' });
    await checkLooks(t, page, 'more filters');
    await page.reload();
    await rowsBecome(page, 1);
    t.ok(await page.getByLabel('Answer').isVisible(), 'what is searched for stays in sight');

    for (const n of [3, 9])
      await posthorn.request('POST', '/v1/webhooks', { event_type: 'order.counted', data: { n } });
    await openScreen(page, posthorn, 'webhooks?event_type=order.counted');
    await rowsBecome(page, 2);
    await page.getByText('More filters').click();
    await page.getByLabel('Content (JSON path)').fill('$.n > 5');
    await page.keyboard.press('Enter');
    await rowsBecome(page, 1);
    t.strictSame(queryOf(page), { event_type: 'order.counted', body_path: '$.n > 5' });

    await page.getByLabel('Content (JSON path)').fill('$[');
    await page.keyboard.press('Enter');
    await page.locator('.field-error').first().waitFor();
    t.match(await page.locator('.field-error').textContent(), /^body_path /);
    await until('the answer is noted', () => problems.length > 0);
    t.match(problems.splice(0), [/^400 GET/]);
  },
);
