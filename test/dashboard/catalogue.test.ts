// The page of the public catalogue, for people without a key.
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks } from '../helpers/dashboard.ts';
import { startTestService } from '../helpers/service.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const HOSTILE = `"'><img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;
const posthorn = await startTestService(t, {
  POSTHORN_ADMIN_KEY: ADMIN_KEY,
  POSTHORN_ROLE: 'api',
  POSTHORN_PUBLIC_CATALOGUE: 'order.*,invoice.*,hostile',
});
const make = (type: object) => posthorn.request('POST', '/v1/event-types', type, admin);
await make({
  name: 'order.created',
  description: 'A customer placed an order.',
  example: { id: 7, lines: [{ sku: 'HORN-1' }] },
  schema: {
    type: 'object',
    required: ['id'],
    properties: {
      id: { type: 'integer', description: 'The number of the order.', minimum: 1 },
      lines: { type: 'array', items: { $ref: '#/$defs/line' } },
    },
    $defs: { line: { type: 'object', properties: { sku: { type: 'string' } } } },
  },
});
await make({ name: 'invoice.paid', description: 'The money has arrived.' });
await make({ name: 'secret.plan', description: 'Nobody knows.' });
await make({
  name: 'hostile',
  description: HOSTILE,
  example: { [HOSTILE]: HOSTILE },
  schema: { title: HOSTILE, properties: { [HOSTILE]: { description: HOSTILE, const: HOSTILE } } },
});

testInBrowser(
  'without a key, the public event types are listed and found',
  {},
  async (t, { page }) => {
    await page.goto(`${posthorn.url}/catalogue`);
    await page.getByRole('link', { name: 'order.created' }).waitFor();
    t.strictSame(await page.locator('.event-types code').allTextContents(), [
      'hostile',
      'invoice.paid',
      'order.created',
    ]);
    for (const header of ['webhook-id', 'webhook-timestamp', 'webhook-signature'])
      await page.getByText(header, { exact: true }).first().waitFor();
    t.equal(await page.getByText('secret').count(), 0);
    await checkLooks(t, page, 'the public catalogue');
    await page.keyboard.press('/');
    await page.keyboard.type('MONEY');
    await page.waitForURL(/\?search=MONEY$/);
    await page.getByRole('link', { name: 'order.created' }).waitFor({ state: 'detached' });
    await page.keyboard.press('Tab');
    await page.keyboard.press('Enter');
    await page.getByRole('heading', { level: 1, name: 'invoice.paid' }).waitFor();
    t.equal(await page.title(), 'invoice.paid · Webhooks');
    await page.goBack();
    t.equal(await page.getByRole('searchbox').inputValue(), 'MONEY');
    await page.getByRole('searchbox').fill('no such word');
    await page.getByText('No event type matches').waitFor();
    const document = await page.request.get(`${posthorn.url}/v1/catalogue`);
    t.strictSame(Object.keys((await document.json()).webhooks), [
      'hostile',
      'invoice.paid',
      'order.created',
    ]);
  },
);

testInBrowser(
  'a link leads to an event type, and to one of its fields',
  {},
  async (t, { page }) => {
    await page.goto(`${posthorn.url}/catalogue/order.created#data.lines%5B%5D.sku`);
    await page.getByText('A customer placed an order.').waitFor();
    const fields = page.getByRole('table', { name: 'Fields of the body of order.created' });
    t.strictSame(await fields.locator('tbody th code').allTextContents(), [
      'type',
      'timestamp',
      'data',
      'data.id',
      'data.lines',
      'data.lines[].sku',
    ]);
    const id = fields.getByRole('row', { name: 'data.id' });
    t.match(await id.textContent(), /data\.id.*integer.*The number of the order\..*at least 1/);
    t.equal(await page.evaluate('document.activeElement.textContent'), 'data.lines[].sku');
    const example = await page.getByRole('group', { name: 'Example' }).textContent();
    t.match(JSON.parse(example ?? ''), { type: 'order.created', data: { id: 7 } });
    await page.getByText('JSON Schema of data').click();
    await page.getByRole('group', { name: 'JSON Schema of data' }).getByText('"$defs"').waitFor();
    await checkLooks(t, page, 'a public event type');
    await page.getByRole('link', { name: 'Event types' }).click();
    await page.getByRole('heading', { level: 1, name: 'Event types' }).waitFor();
    for (const path of ['secret.plan', 'nothing']) {
      await page.goto(`${posthorn.url}/catalogue/${path}`);
      await page.getByText('There is no such event type').waitFor();
    }
    await checkLooks(t, page, 'an event type that is not public');
  },
);

testInBrowser('hostile texts are shown as texts', {}, async (t, { page }) => {
  await page.goto(`${posthorn.url}/catalogue/hostile`);
  await page.getByRole('table').getByText(HOSTILE).first().waitFor();
  t.equal(await page.title(), 'hostile · Webhooks');
  t.equal(await page.locator('#app img, #app script').count(), 0);
  await checkLooks(t, page, 'hostile texts');
});

testInBrowser(
  'it says when the service is away, and goes on by itself',
  {},
  async (t, { page, problems }) => {
    await page.route('**/v1/catalogue', (route) => route.abort('connectionrefused'));
    await page.goto(`${posthorn.url}/catalogue`);
    await page.getByText('The page tries again by itself.').first().waitFor();
    await page.unroute('**/v1/catalogue');
    await page.getByRole('link', { name: 'order.created' }).waitFor();
    t.ok(problems.splice(0).every((problem) => problem.includes('ERR_CONNECTION_REFUSED')));
  },
);
