// A page that is live, while the service restarts, the network fails and the session ends.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { createTestDatabase } from '../helpers/database.ts';
import { startTestService, type TestService } from '../helpers/service.ts';
import { startHttpForwarder } from '../helpers/tcp-forwarder.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const databaseUrl = await createTestDatabase(t);
const start = (env: Record<string, string> = {}) =>
  startTestService(t, {
    DATABASE_URL: databaseUrl,
    POSTHORN_ADMIN_KEY: ADMIN_KEY,
    POSTHORN_ROLE: 'api',
    ...env,
  });
let posthorn = await start();
await posthorn.request('POST', '/v1/tenants', { id: 'acme', name: 'Acme' }, admin);

const send = (event_type: string, tenant = 'default') =>
  posthorn.request('POST', `/v1/webhooks?tenant=${tenant}`, { event_type, data: {} }, admin);
const row = (page: Page, eventType: string) => page.getByRole('link', { name: eventType }).first();
const live = (page: Page) => page.getByRole('button', { name: /^Live/ });

/** Waits until so many pages follow the stream of events. */
async function follow(service: TestService, pages: number): Promise<void> {
  await until(`${pages} streams are open`, async () => {
    const { text } = await service.request('GET', '/metrics', undefined, admin);
    return text.includes(`posthorn_event_streams ${pages}\n`);
  });
}

testInBrowser(
  'while the service restarts, the page says that it is out of date; then it goes on by itself',
  {},
  async (t, { page, problems }) => {
    await send('before.restart');
    await openScreen(page, posthorn, 'webhooks', ADMIN_KEY);
    await row(page, 'before.restart').waitFor();
    await follow(posthorn, 1);

    const { port } = new URL(posthorn.url);
    await posthorn.service.stop();
    await page.getByText('Out of date').waitFor();
    await page.getByText('The page tries again by itself.').waitFor();
    await page.locator('.stale', { hasText: 'before.restart' }).waitFor();
    t.equal(await live(page).textContent(), 'Live: interrupted');
    t.equal(await page.locator('.live-dot.on').count(), 0);
    await checkLooks(t, page, 'a list that is out of date');

    posthorn = await start({ PORT: port });
    await page.getByText('Out of date').waitFor({ state: 'detached' });
    await page.locator('.fresh', { hasText: 'before.restart' }).waitFor();
    t.equal(await live(page).textContent(), 'Live');
    await follow(posthorn, 1);
    await send('after.restart');
    await row(page, 'after.restart').waitFor();
    t.ok(problems.splice(0).every((problem) => /ERR_(CONNECTION|INCOMPLETE|EMPTY)/.test(problem)));
  },
);

testInBrowser(
  'a network that loses everything in silence is noticed, and what was read is not shown as fresh',
  {},
  async (t, { page, problems }) => {
    const network = await startHttpForwarder(t, posthorn.url);
    await send('before.loss');
    await page.clock.install();
    await openScreen(page, { ...posthorn, url: network.url }, 'webhooks', ADMIN_KEY);
    await row(page, 'before.loss').waitFor();
    await follow(posthorn, 1);
    t.equal(await live(page).textContent(), 'Live');

    network.drop(true);
    // No connection ends. The list is due again, and its answer does not come.
    const reading = page.waitForRequest(/\/v1\/webhooks/);
    await page.clock.fastForward(15_000);
    await reading;
    await page.clock.fastForward(8_000);
    await page.locator('.stale', { hasText: 'before.loss' }).waitFor();
    t.equal(await live(page).textContent(), 'Live: interrupted');
    await page.clock.fastForward(25_000);
    await page.getByText('Out of date').waitFor();
    await page.getByText('Posthorn does not answer').or(page.getByText('cannot reach')).waitFor();

    network.drop(false);
    await until('it is read again', async () => {
      await page.clock.fastForward(15_000);
      return (await page.locator('.fresh', { hasText: 'before.loss' }).count()) > 0;
    });
    await send('after.loss');
    await until('it goes on', async () => {
      await page.clock.fastForward(1_000);
      return (await row(page, 'after.loss').count()) > 0;
    });
    t.strictSame(problems.splice(0), [], 'the page itself gave up what it waited for');
  },
);

testInBrowser(
  'a stream that is refused for a while is opened again, while the list is read',
  {},
  async (t, { page, problems }) => {
    const refuse = (status: number) =>
      page.route('**/v1/stream*', (route) => route.fulfill({ status }));
    await refuse(502);
    await openScreen(page, posthorn, 'webhooks', ADMIN_KEY);
    await send('without.stream');
    await row(page, 'without.stream').waitFor();
    await page.unroute('**/v1/stream*');
    await follow(posthorn, 1);
    t.ok(problems.length > 0 && problems.splice(0).every((problem) => /^502 GET/.test(problem)));
  },
);

testInBrowser(
  'the portal follows as its own session, and the end of the session ends its stream',
  {},
  async (t, { page, problems }) => {
    const { json } = await posthorn.request('POST', '/v1/tenants/acme/portal', {}, admin);
    await page.goto(json.url);
    await page.getByRole('link', { name: 'Webhooks' }).click();
    await page.getByRole('heading', { level: 1, name: 'Webhooks' }).waitFor();
    await follow(posthorn, 1);
    await send('of.acme', 'acme');
    await row(page, 'of.acme').waitFor();
    // From now on only the stream can tell the page that its session has ended.
    await page.route('**/v1/webhooks*', () => {});
    await posthorn.request('DELETE', '/v1/tenants/acme/portal', undefined, admin);
    await page.getByRole('heading', { name: 'This page is closed' }).waitFor();
    t.equal(await page.getByText('of.acme').count(), 0, 'nothing of it is shown any more');
    await follow(posthorn, 0);
    t.ok(problems.splice(0).every((problem) => /^401 /.test(problem)));
  },
);
