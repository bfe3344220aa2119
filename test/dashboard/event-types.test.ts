// The screens of event types: the catalogue, and what is sent from it.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const HOSTILE = `"'><img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;
const receiver = await startReceiver(t);
const posthorn = await startTestService(t);
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const link = (page: Page, name: string) => page.getByRole('link', { name, exact: true });
const read = async (name: string) =>
  (await posthorn.request('GET', `/v1/event-types/${name}`)).json;

testInBrowser(
  'an event type is described, changed, archived and deleted',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, posthorn, 'event-types');
    await page.getByText('The catalogue is empty').waitFor();
    await page.getByText(`curl ${posthorn.url}/v1/event-types`).waitFor();
    await checkLooks(t, page, 'an empty catalogue');
    await link(page, 'New event type').click();
    await page.getByLabel('Name').fill('order.created');
    await page.getByLabel('Description').fill(HOSTILE);
    await page.getByLabel('Example (JSON)').fill('{"id": "seven"}');
    await page
      .getByLabel('JSON Schema')
      .fill('{"type": "object", "properties": {"id": {"type": "integer"}}}');
    await button(page, 'Create').click();
    await page.locator('.field-error').waitFor();
    t.match(await untilNoted(problems), [/^400 POST/], 'the example does not fit the schema');
    await page.getByLabel('Example (JSON)').fill(`{"id": 7, "note": ${JSON.stringify(HOSTILE)}`);
    await button(page, 'Create').click();
    await page.getByText(/example is not JSON/).waitFor();
    await page.getByLabel('Example (JSON)').fill(`{"id": 7, "note": ${JSON.stringify(HOSTILE)}}`);
    await button(page, 'Create').click();
    await page.getByRole('heading', { name: 'order.created' }).waitFor();
    await page.getByText('"integer"').waitFor();
    t.match(await read('order.created'), {
      description: HOSTILE,
      example: { id: 7, note: HOSTILE },
    });
    t.not(await page.title(), 'hacked');
    await checkLooks(t, page, 'an event type');

    await link(page, 'Edit').click();
    await page.getByLabel('Description').fill('A customer placed an order.');
    await checkLooks(t, page, 'the form of an event type');
    await button(page, 'Save').click();
    await page.getByText('A customer placed an order.').waitFor();

    await button(page, 'Archive').click();
    await page.getByText('archived', { exact: true }).waitFor();
    t.match(await read('order.created'), { archived: true });
    await link(page, 'Event types').first().click();
    await page.getByText('The catalogue is empty').waitFor();
    await link(page, 'Archived').click();
    await page.getByRole('link', { name: /order\.created/ }).click();
    await button(page, 'Take out of the archive').click();
    await button(page, 'Archive').waitFor();

    await link(page, 'Delete').click();
    await page.getByLabel(/To confirm, type/).fill('order.created');
    await button(page, 'Delete').click();
    await page.getByText('The catalogue is empty').waitFor();
    t.equal((await posthorn.request('GET', '/v1/event-types/order.created')).status, 404);
  },
);

testInBrowser(
  'a test event is sent to the subscriptions that get its type',
  {},
  async (t, { page }) => {
    await posthorn.request('POST', '/v1/event-types', {
      name: 'invoice.paid',
      example: { id: 'in_7' },
    });
    const { json } = await posthorn.request('POST', '/v1/subscriptions', {
      url: `${receiver.url}/invoices`,
      event_types: ['invoice.*'],
      channels: ['eu'],
    });
    t.ok(json.id);
    await openScreen(page, posthorn, 'event-types/invoice.paid');
    await link(page, 'Send a test event').click();
    await until('the example is filled in', async () =>
      /in_7/.test(await page.getByLabel('Data (JSON)').inputValue()),
    );
    await page.getByLabel('Channels').fill('eu, us');
    await checkLooks(t, page, 'the window of a test event');
    await button(page, 'Send').click();
    await page.getByText('Accepted: it goes to 1 subscription.').waitFor();
    const [request] = await receiver.waitFor(1);
    t.match(JSON.parse(`${request?.body}`), { type: 'invoice.paid', data: { id: 'in_7' } });
  },
);

testInBrowser('event types are imported, and rules are set', {}, async (t, { page, problems }) => {
  await openScreen(page, posthorn, 'event-types?do=import');
  await page.getByLabel('OpenAPI document (JSON)').fill('{"openapi": "3.1.0"}');
  await button(page, 'Import').click();
  await page.locator('.form-error, .field-error').waitFor();
  t.match(await untilNoted(problems), [/^400 POST/]);
  await page.getByLabel('OpenAPI document (JSON)').fill(
    JSON.stringify({
      openapi: '3.1.0',
      info: { title: 'Shop', version: '1' },
      webhooks: { 'stock.low': { post: { summary: 'Little is left.' } } },
    }),
  );
  await button(page, 'Import').click();
  await page.getByRole('link', { name: /stock\.low/ }).waitFor();
  await page.getByLabel(/Refuse webhooks whose type is not in the catalogue/).check();
  await page.getByText('Saved.').waitFor();
  const refused = await posthorn.request('POST', '/v1/webhooks', {
    event_type: 'un.known',
    data: 1,
  });
  t.equal(refused.status, 400);
  await checkLooks(t, page, 'the catalogue');
});
