// The screens for who runs the service: keys, tenants, and the settings in force.
import type { Page } from 'playwright-core';
import t from 'tap';
import { SETTINGS } from '../../src/config/known-settings.ts';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen, signIn } from '../helpers/dashboard.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const HOSTILE = `"'><img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;
const posthorn = await startTestService(t, {
  POSTHORN_ADMIN_KEY: ADMIN_KEY,
  POSTHORN_ROLE: 'api',
  POSTHORN_EGRESS_PROXY: 'http://user:hush-hush@proxy.internal:4750',
  POSTHORN_RETENTION: '7d',
});
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const link = (page: Page, name: string) => page.getByRole('link', { name, exact: true });
const ask = (method: string, path: string, body?: unknown, key = ADMIN_KEY) =>
  posthorn.request(method, path, body, { authorization: `Bearer ${key}` });

testInBrowser('a key is created, works, is shown once, and is revoked', {}, async (t, { page }) => {
  await openScreen(page, posthorn, 'keys', ADMIN_KEY);
  await page.getByText('There are no keys yet').waitFor();
  await page.getByText('posthorn keys create').waitFor();
  await link(page, 'New key').click();
  await page.getByLabel('Name').fill(HOSTILE);
  await page.getByLabel(/^send:/).uncheck();
  await page.getByLabel('Expires').selectOption('30');
  await page.getByLabel('Environment').selectOption('test');
  await checkLooks(t, page, 'the window of a new key');
  await button(page, 'Create').click();
  const key = (await page.locator('.secret code').textContent()) ?? '';
  t.match(key, /^ph_test_/);
  await checkLooks(t, page, 'a key that is shown once');
  await button(page, 'I have stored it').click();
  const row = page.getByRole('row').filter({ hasText: 'onerror' });
  await row.waitFor();
  t.notOk((await page.content()).includes(key), 'it is gone');
  t.not(await page.title(), 'hacked');
  t.equal((await ask('GET', '/v1/subscriptions', undefined, key)).status, 200);
  t.equal((await ask('POST', '/v1/webhooks', { event_type: 'a', data: 1 }, key)).status, 403);
  await checkLooks(t, page, 'keys');
  await row.getByRole('button', { name: 'Revoke' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Revoke' }).click();
  await row.waitFor({ state: 'detached' });
  await until('it is refused', async () => {
    return (await ask('GET', '/v1/subscriptions', undefined, key)).status === 401;
  });
});

testInBrowser('the form of a key says what is wrong', {}, async (t, { page, problems }) => {
  await openScreen(page, posthorn, 'keys?do=new', ADMIN_KEY);
  await page.getByLabel('Tenant', { exact: true }).last().fill('nobody');
  await button(page, 'Create').click();
  await page
    .getByRole('alert')
    .getByText(/nobody/)
    .waitFor();
  t.match(await untilNoted(problems), [/^404 POST/]);
  await page.getByLabel(/^read:/).uncheck();
  await page.getByLabel(/^send:/).uncheck();
  await button(page, 'Create').click();
  await page.locator('.field-error').waitFor();
  t.match(await untilNoted(problems), [/^400 POST/]);
});

testInBrowser('a tenant is created, changed and deleted', {}, async (t, { page, problems }) => {
  await openScreen(page, posthorn, 'tenants', ADMIN_KEY);
  await link(page, 'New tenant').click();
  await page.getByLabel('Id').fill('acme corp');
  await page.getByLabel('Name').fill(HOSTILE);
  await button(page, 'Create').click();
  await page.getByText(/^id /).waitFor();
  t.match(await untilNoted(problems), [/^400 POST/]);
  await page.getByLabel('Id').fill('acme');
  await button(page, 'Create').click();
  await page.getByRole('heading', { name: HOSTILE }).waitFor();
  await page.getByLabel('Bodies are kept for').fill('3d');
  await button(page, 'Add key').click();
  await page.getByRole('textbox', { name: 'Key 1' }).fill('plan');
  await page.getByLabel('Value 1').fill('pro');
  await button(page, 'Save').click();
  await page.getByText('Saved.').waitFor();
  t.match((await ask('GET', '/v1/tenants/acme')).json, {
    name: HOSTILE,
    retention: '3d',
    metadata: { plan: 'pro' },
  });
  await checkLooks(t, page, 'a tenant');
  t.not(await page.title(), 'hacked');

  await ask('POST', '/v1/subscriptions?tenant=acme', { url: 'https://acme.example/' });
  await ask('POST', '/v1/subscriptions', { url: 'https://default.example/' });
  await link(page, 'Subscriptions').last().click();
  await page.getByText('https://acme.example/').waitFor();
  t.match(page.url(), /tenant=acme/);
  t.equal(await page.getByText('https://default.example/').count(), 0);
  await openScreen(page, posthorn, 'tenants/acme?do=delete');
  await page.getByLabel(/To confirm, type/).fill('acme');
  await button(page, 'Delete').click();
  await page.getByText('Deleted, with 1 subscription and 0 keys.').waitFor();
  t.equal((await ask('GET', '/v1/tenants/acme')).status, 404);
  await checkLooks(t, page, 'tenants');
  await openScreen(page, posthorn, 'tenants/default?do=delete');
  t.equal(await page.getByRole('dialog').count(), 0, 'the default tenant stays');
});

testInBrowser(
  'a link to the portal of a tenant is shown once, and opens it',
  {},
  async (t, { page }) => {
    await ask('POST', '/v1/tenants', { id: 'portal-tenant', name: 'Globex' });
    await ask('POST', '/v1/subscriptions?tenant=portal-tenant', { url: 'https://globex.example/' });
    await openScreen(page, posthorn, 'tenants/portal-tenant', ADMIN_KEY);
    await link(page, 'Portal link').click();
    for (const screen of ['Overview', 'Webhooks', 'Problems', 'Event types', 'Bulk operations'])
      await page.getByRole('dialog').getByLabel(screen, { exact: true }).uncheck();
    await checkLooks(t, page, 'the window of a portal link');
    await button(page, 'Create the link').click();
    const url = (await page.locator('.secret code').textContent()) ?? '';
    await button(page, 'I have stored it').click();
    t.notOk((await page.content()).includes(url), 'it is gone');
    await page.goto(url);
    await page.getByText('https://globex.example/').waitFor();
    t.equal(await link(page, 'New subscription').count(), 0, 'it may only read');
    t.equal(await page.getByRole('link', { name: 'Keys' }).count(), 0);
  },
);

testInBrowser(
  'the portal of a tenant is set up, and seen before it is saved',
  {},
  async (t, { page, problems }) => {
    await ask('POST', '/v1/tenants', { id: 'painted', name: 'Initech' });
    await openScreen(page, posthorn, 'tenants/painted', ADMIN_KEY);
    await page.getByLabel('Name').fill('Initech Ltd.');
    const svg =
      '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20"><rect width="90" height="20"/></svg>';
    const file = (buffer: Buffer) => ({ name: 'logo.svg', mimeType: 'image/svg+xml', buffer });
    await page.getByLabel('Logo', { exact: true }).setInputFiles(file(Buffer.alloc(13_000, ' ')));
    await page.getByText(/The file has 1\d(\.\d)? [kK]i?B; at most/).waitFor();
    await page.getByLabel('Logo', { exact: true }).setInputFiles(file(Buffer.from(svg)));
    await page.getByRole('img', { name: 'The logo' }).waitFor();
    await page.getByLabel('Buttons and links', { exact: true }).fill('#ffd40');
    await page.getByLabel('Choose: Behind the logo').fill('#0b3d2e');
    await page.getByLabel('Light or dark').selectOption('dark');
    await page.getByLabel(/Origins/).fill('https://app.example.com\nhttps://app.example.com/path');
    await button(page, 'Save the portal').click();
    await page.locator('.field-error').first().waitFor();
    t.match(await untilNoted(problems), [/^400 PATCH/]);
    t.equal((await page.locator('.field-error').allTextContents()).length, 2, 'each at its field');
    await page.getByLabel('Buttons and links', { exact: true }).fill('#ffd400');
    await page.getByLabel(/Origins/).fill('https://app.example.com\nhttps://app.example.com');
    await checkLooks(t, page, 'the form of a portal');

    await button(page, 'Preview').click();
    const opened = page.context().waitForEvent('page');
    await page.getByRole('link', { name: 'Open the preview' }).click();
    const preview = await opened;
    await preview.getByRole('img', { name: 'Initech' }).waitFor();
    const token = (name: string) =>
      preview.evaluate<string>(`document.documentElement.style.getPropertyValue('--${name}')`);
    t.equal(await token('header-ground'), '#0b3d2e');
    t.equal(await preview.evaluate('document.documentElement.dataset.theme'), 'dark');
    t.equal((await ask('GET', '/v1/tenants/painted')).json.portal, null, 'nothing is saved yet');
    await preview.close();
    await button(page, 'Preview').waitFor();

    await button(page, 'Save the portal').click();
    await page.getByText('Saved.').waitFor();
    const { portal } = (await ask('GET', '/v1/tenants/painted')).json;
    t.strictSame(portal, {
      logo: `data:image/svg+xml;base64,${Buffer.from(svg).toString('base64')}`,
      accent: '#ffd400',
      header: '#0b3d2e',
      mode: 'dark',
      origins: ['https://app.example.com'],
    });
    t.equal(await page.getByLabel('Name').inputValue(), 'Initech Ltd.', 'the other form stays');
    await button(page, 'Remove').click();
    await page.getByLabel(/Origins/).fill('');
    await button(page, 'Save the portal').click();
    await until('it is removed', async () => {
      const { logo, origins } = (await ask('GET', '/v1/tenants/painted')).json.portal;
      return logo === null && origins.length === 0;
    });
  },
);

testInBrowser('the settings in force are shown without secrets', {}, async (t, { page }) => {
  await openScreen(page, posthorn, 'settings', ADMIN_KEY);
  for (const name of Object.keys(SETTINGS))
    await page.getByText(name, { exact: true }).first().waitFor();
  const text = (await page.locator('.in-force > div').allTextContents()).join('\n');
  t.match(text, /POSTHORN_RETENTION\s*7d\s*from the environment\s*default 30d/);
  t.match(text, /POSTHORN_ADMIN_KEY\s*set\s*from the environment, not shown/);
  t.match(text, /http:\/\/proxy\.internal:4750\s*from the environment, shown without its password/);
  t.match(text, '(docs/placement.md)', 'links have no target here');
  t.notMatch(text, '](');
  for (const secret of [ADMIN_KEY, 'hush-hush'])
    t.notOk((await page.content()).includes(secret), 'no secret');
  await checkLooks(t, page, 'settings');
  await link(page, 'Set').click();
  await page.getByText('POSTHORN_DENY_NETWORKS').waitFor({ state: 'detached' });
  await page.keyboard.press('/');
  await page.keyboard.type('retention');
  await page.waitForURL(/search=retention/);
  await until('one is left', async () => (await page.locator('.in-force > div').count()) === 1);
});

testInBrowser('only an admin is shown them', {}, async (t, { page, problems }) => {
  const { json } = await ask('POST', '/v1/keys', { scopes: ['manage', 'send'] });
  await signIn(page, posthorn, json.key);
  for (const screen of ['keys', 'tenants', 'watches', 'settings']) {
    await page.goto(`${posthorn.url}/dashboard/${screen}`);
    await page.getByText('This page needs the scope admin').waitFor();
  }
  t.equal(await page.getByRole('navigation', { name: 'Screens' }).getByText('Settings').count(), 0);
  await checkLooks(t, page, 'a screen that the key may not see');
  t.strictSame(problems, []);
});
