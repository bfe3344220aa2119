// What a key that may only read is shown: everything of its tenant, and nothing to press.
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const receiver = await startReceiver(t, (response) => {
  response.statusCode = 503;
  response.end();
});
const posthorn = await startTestService(t, {
  POSTHORN_ADMIN_KEY: ADMIN_KEY,
  POSTHORN_RETRY_SCHEDULE: '1h',
});
const ask = async (method: string, path: string, body?: unknown) =>
  (await posthorn.request(method, path, body, admin)).json;

testInBrowser(
  'a key that may only read is shown all, and offered nothing',
  {},
  async (t, { page, problems }) => {
    const { id } = await ask('POST', '/v1/subscriptions', { url: receiver.url });
    await ask('POST', '/v1/event-types', { name: 'order.created', example: { id: 7 } });
    await ask('POST', '/v1/webhooks', { event_type: 'order.created', data: {} });
    await until(
      'there is a problem',
      async () => (await ask('GET', '/v1/problems')).data.length === 1,
    );
    const task = await ask('POST', `/v1/subscriptions/${id}/recover`, {
      since: '2026-01-01T00:00:00Z',
    });
    const { key } = await ask('POST', '/v1/keys', { scopes: ['read'] });

    const main = page.locator('main');
    for (const [path, text] of [
      ['problems', 'answers 503'],
      ['tasks', 'Recover'],
      [`tasks/${task.id}`, 'Examined'],
      ['event-types', 'Types that are not in the catalogue are accepted'],
      ['event-types/order.created?do=delete', 'JSON Schema'],
    ] as const) {
      await openScreen(page, posthorn, path, key);
      await main.getByText(text).first().waitFor();
      const offered = await main
        .locator('button, .button, input:not([type="search"])')
        .allTextContents();
      t.strictSame(
        offered.filter((words) => words !== '' && words !== 'Webhooks'),
        [],
        path,
      );
      t.equal(await page.getByRole('dialog').count(), 0, `${path}: no window`);
    }
    await checkLooks(t, page, 'an event type for who may only read');
    for (const path of ['tasks/new', 'event-types/new', 'event-types/order.created/edit']) {
      await openScreen(page, posthorn, path);
      await page.getByText('This page needs the scope manage').waitFor();
    }
    t.strictSame(problems, []);
  },
);

testInBrowser(
  'a key that is revoked meanwhile ends the page, and shows nothing more',
  {},
  async (t, { page, problems }) => {
    const { id, key } = await ask('POST', '/v1/keys', { scopes: ['manage'] });
    await openScreen(page, posthorn, 'subscriptions', key);
    await page.getByText(receiver.url).waitFor();
    await ask('DELETE', `/v1/keys/${id}`);
    await page.getByLabel('Key', { exact: true }).waitFor();
    t.equal(await page.getByText(receiver.url).count(), 0);
    problems.splice(0);
  },
);
