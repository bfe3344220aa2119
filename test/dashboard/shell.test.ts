// What is around all screens: signing in and out, the tenant, the theme, the menu, and what happens when something is away.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen, signIn } from '../helpers/dashboard.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const authorization = `Bearer ${ADMIN_KEY}`;
const HOSTILE = `<img src=x onerror="document.title='hacked'">`;

const keyed = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, POSTHORN_ROLE: 'api' });
const ask = async (method: string, path: string, body?: object) => {
  const { status, json, text } = await keyed.request(method, path, body, { authorization });
  if (status >= 300) throw new Error(text);
  return json;
};
await ask('POST', '/v1/tenants', { id: 'acme' });

const button = (page: Page, name: string | RegExp) => page.getByRole('button', { name });
const heading = (page: Page, name: string) => page.getByRole('heading', { level: 1, name });

async function createKey(scopes: string[], tenant = 'default') {
  const { key, id } = await ask('POST', '/v1/keys', { tenant, scopes });
  return { key: key as string, id: id as number };
}

testInBrowser(
  'the sign-in screen takes a key, and shows what was asked for',
  {},
  async (t, { page, problems }) => {
    await page.goto(`${keyed.url}/dashboard/webhooks?event_type=a.b`);
    const key = page.getByLabel('Key', { exact: true });
    await key.waitFor();
    await checkLooks(t, page, 'the sign-in screen');
    await key.fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('does not contain a key of this service').waitFor();
    await until('the answer is noted', () => problems.length > 0);
    t.strictSame(problems.splice(0), ['401 POST /v1/session']);
    await key.fill(` ${ADMIN_KEY} `);
    await page.keyboard.press('Enter');
    await heading(page, 'Webhooks').waitFor();
    t.equal(page.url(), `${keyed.url}/dashboard/webhooks?event_type=a.b`);
    t.equal(await page.evaluate('document.cookie'), '', 'scripts do not see the session');
    const kept = await page.evaluate<string>(
      'JSON.stringify({ ...localStorage, ...sessionStorage })',
    );
    t.notMatch(kept, ADMIN_KEY, 'the browser does not keep the key');

    await button(page, 'Sign out').click();
    await key.waitFor();
    await page.reload();
    await key.waitFor();
    t.pass('it stays signed out');
  },
);

testInBrowser(
  'a revoked key ends the session on the screen, and a new key goes on there',
  {},
  async (t, { page, problems }) => {
    const { key, id } = await createKey(['read']);
    await openScreen(page, keyed, 'webhooks?state=held', key);
    await ask('DELETE', `/v1/keys/${id}`);
    await page.getByText('The session has ended.').waitFor();
    t.equal(await page.getByRole('heading', { name: 'Webhooks' }).count(), 0, 'nothing is shown');
    await checkLooks(t, page, 'the end of the session');
    t.ok(problems.splice(0).every((problem) => problem.startsWith('401 ')));
    const other = await createKey(['read']);
    await page.getByLabel('Key', { exact: true }).fill(other.key);
    await page.keyboard.press('Enter');
    await heading(page, 'Webhooks').waitFor();
    t.equal(page.url(), `${keyed.url}/dashboard/webhooks?state=held`);
    await until('all answers have come', () => true);
    problems.splice(0);
  },
);

testInBrowser(
  'a key of all tenants changes the tenant in the header, and links keep it',
  {},
  async (t, { page }) => {
    await ask('POST', '/v1/subscriptions?tenant=acme', {
      url: 'https://example.com/acme',
      event_types: ['*'],
    });
    await ask('POST', '/v1/webhooks?tenant=acme', { event_type: 'acme.sent', data: {} });
    await openScreen(page, keyed, 'webhooks', ADMIN_KEY);
    const tenant = page.getByLabel('Tenant');
    await tenant.fill('acme');
    await page.keyboard.press('Enter');
    await page.getByText('acme.sent').waitFor();
    t.match(page.url(), /\?tenant=acme$/);
    await page.getByRole('link', { name: 'Overview' }).click();
    await heading(page, 'Overview').waitFor();
    t.match(page.url(), /\/\?tenant=acme$/);
    await page.getByLabel('Tenant').fill('default');
    await page.keyboard.press('Enter');
    await page.waitForURL(`${keyed.url}/`);
  },
);

testInBrowser(
  'a key of one tenant sees this tenant only, and no other by its URL',
  {},
  async (t, { page, problems }) => {
    const { key } = await createKey(['read'], 'acme');
    await openScreen(page, keyed, 'webhooks', key);
    await page.locator('.tenant').getByText('acme').waitFor();
    t.equal(await page.getByLabel('Tenant').count(), 0);
    t.equal(
      await page.getByRole('link', { name: 'Tenants' }).count(),
      0,
      'no screen of the service',
    );
    await openScreen(page, keyed, 'webhooks?tenant=default');
    await page.getByText('There is no tenant default.').waitFor();
    t.match(await untilNoted(problems), [/^404 GET/]);
  },
);

testInBrowser(
  'the theme is that of the browser until another is chosen, which stays',
  { colorScheme: 'dark' },
  async (t, { page }) => {
    await openScreen(page, keyed, 'webhooks', ADMIN_KEY);
    const ground = () =>
      page.evaluate<string>('getComputedStyle(document.querySelector("main")).backgroundColor');
    const dark = await ground();
    await button(page, 'Theme: system').click();
    await button(page, 'Theme: light').waitFor();
    const light = await ground();
    t.not(light, dark);
    await page.reload();
    await heading(page, 'Webhooks').waitFor();
    t.equal(await ground(), light);
    await button(page, 'Theme: light').click();
    t.equal(await ground(), dark);
  },
);

testInBrowser('on a phone the navigation is a menu', { width: 375 }, async (t, { page }) => {
  await openScreen(page, keyed, 'webhooks', ADMIN_KEY);
  t.notOk(await page.getByRole('link', { name: 'Overview' }).isVisible());
  await button(page, 'Menu').click();
  await checkLooks(t, page, 'the open menu');
  await page.setViewportSize({ width: 375, height: 800 });
  await page.getByRole('link', { name: 'Overview' }).click();
  await heading(page, 'Overview').waitFor();
  // It closes.
  await page.getByRole('link', { name: 'Webhooks', exact: true }).waitFor({ state: 'hidden' });
});

testInBrowser(
  'while the service is away, old data is marked, and it recovers by itself',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, keyed, 'webhooks?tenant=acme', ADMIN_KEY);
    await page.getByText('acme.sent').waitFor();
    let answer: 'none' | 'unavailable' = 'none';
    await page.route('**/v1/webhooks?**', (route) =>
      answer === 'none'
        ? route.abort('connectionrefused')
        : route.fulfill({
            status: 503,
            headers: { 'retry-after': '1' },
            contentType: 'application/problem+json',
            body: JSON.stringify({ type: 'x', title: 'Away', status: 503, detail: HOSTILE }),
          }),
    );
    await page.getByText('Out of date').waitFor();
    await page.getByText('The page cannot reach the service.').waitFor();
    t.equal(await page.locator('.stale').getByText('acme.sent').count(), 1, 'the data is marked');
    answer = 'unavailable';
    await page.getByText(HOSTILE).waitFor();
    await checkLooks(t, page, 'out of date');
    await page.unroute('**/v1/webhooks?**');
    await page.getByText('Out of date').waitFor({ state: 'detached' });
    await page.locator('.fresh').getByText('acme.sent').waitFor();
    t.ok(problems.splice(0).length > 0);
  },
);

testInBrowser('a page that does not exist leads to the first one', {}, async (t, { page }) => {
  await openScreen(page, keyed, 'no/such/screen', ADMIN_KEY);
  await heading(page, 'There is no such page').waitFor();
  await page.getByRole('link', { name: 'first page' }).click();
  await heading(page, 'Overview').waitFor();
  t.equal(new URL(page.url()).pathname, '/');
});

testInBrowser('without a key, an open API needs no sign-in', {}, async (t, { page }) => {
  const open = await startTestService(t, { POSTHORN_ROLE: 'api' });
  await page.goto(`${open.url}/`);
  await heading(page, 'Overview').waitFor();
  t.equal(await button(page, 'Sign out').count(), 0);
  await signIn(page, keyed, ADMIN_KEY);
});
