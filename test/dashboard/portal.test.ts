// The portal in a browser: by its link, and embedded in a page of a customer's application.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import t, { type Test } from 'tap';
import { contrast, onColour, readableOn } from '../../src/dashboard/lib/colours.ts';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks } from '../helpers/dashboard.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const admin = { authorization: `Bearer ${ADMIN_KEY}` };
const SVG =
  '<svg xmlns="http://www.w3.org/2000/svg" width="90" height="20"><rect width="90" height="20"/></svg>';
const LOGO = `data:image/svg+xml;base64,${Buffer.from(SVG).toString('base64')}`;

const posthorn = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, POSTHORN_ROLE: 'api' });
for (const [id, name] of [
  ['acme', 'Acme Inc.'],
  ['globex', 'Globex Corp.'],
])
  await posthorn.request('POST', '/v1/tenants', { id, name }, admin);

const setPortal = (portal: object | null) =>
  posthorn.request('PATCH', '/v1/tenants/acme', { portal }, admin);

async function makeLink(fields: object = {}, tenant = 'acme'): Promise<string> {
  const { json } = await posthorn.request('POST', `/v1/tenants/${tenant}/portal`, fields, admin);
  return json.url;
}

/** A page of an application at an origin of its own, which embeds a URL. */
async function embed(t: Test, url: string): Promise<string> {
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><title>App</title><iframe src="${url}" width="900"></iframe>`);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => new Promise((resolve) => server.close(resolve)));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

testInBrowser(
  'a link opens the portal, and leaves no token in the address',
  {},
  async (t, { page }) => {
    await setPortal({ logo: LOGO, accent: '#ffd400', header: '#0b3d2e', mode: 'auto' });
    const url = await makeLink({ access: 'manage' });
    await page.goto(url);
    await page.getByRole('img', { name: 'Acme Inc.' }).waitFor();
    const token = new URL(url).hash.slice(1);
    t.equal(new URL(page.url()).pathname.replace(/\/$/, ''), '/portal');
    t.notOk(page.url().includes(token));
    t.notOk(
      (await page.evaluate<string>('JSON.stringify(performance.getEntries())')).includes(token),
    );
    const width = await page.evaluate<number>('document.querySelector(".logo").naturalWidth');
    t.equal(width, 90, 'the logo is shown');
    await checkLooks(t, page, 'a portal in yellow');

    await page.reload();
    await page.getByRole('img', { name: 'Acme Inc.' }).waitFor();
    for (const name of ['Keys', 'Tenants', 'Settings'])
      t.equal(await page.getByRole('link', { name, exact: true }).count(), 0, `no ${name}`);
    t.equal(await page.getByRole('button', { name: 'Sign out' }).count(), 0);
  },
);

testInBrowser('a portal shows its screens only', {}, async (t, { page }) => {
  await setPortal({ mode: 'dark' });
  await page.goto(await makeLink({ screens: ['subscriptions'] }));
  await page.getByRole('heading', { level: 1, name: 'Subscriptions' }).waitFor();
  t.strictSame(
    await page.getByRole('navigation', { name: 'Screens' }).getByRole('link').allTextContents(),
    ['Subscriptions'],
  );
  t.equal(await page.evaluate<string>('document.documentElement.dataset.theme'), 'dark');
  await page.goto(`${posthorn.url}/portal/webhooks`);
  await page.getByRole('heading', { name: 'There is no such page' }).waitFor();
});

testInBrowser(
  'a link that was opened says so, and asks for no key',
  {},
  async (t, { page, problems }) => {
    const url = await makeLink();
    await page.goto(url);
    await page.getByRole('navigation', { name: 'Screens' }).waitFor();
    // Left first, so that nothing that it still reads is refused.
    await page.goto('about:blank');
    await page.context().clearCookies();
    await page.goto(url);
    await page.getByRole('heading', { name: 'This page is closed' }).waitFor();
    t.equal(await page.getByLabel('Key').count(), 0);
    t.notOk(page.url().includes('#'));
    await until('the answer is noted', () => problems.some((problem) => /^\d/.test(problem)));
    // The first page was left while it read.
    const answered = problems.splice(0).filter((problem) => /^\d/.test(problem));
    t.strictSame(answered, ['401 POST /v1/session/portal']);
    await checkLooks(t, page, 'a closed portal');
  },
);

testInBrowser(
  'a portal that ends is closed, with what it showed',
  {},
  async (t, { page, problems }) => {
    await page.goto(await makeLink());
    await page.getByRole('navigation', { name: 'Screens' }).waitFor();
    await posthorn.request('DELETE', '/v1/tenants/acme/portal', undefined, admin);
    // It reads its figures again by itself.
    await page.getByRole('heading', { name: 'This page is closed' }).waitFor();
    t.ok(problems.splice(0).every((problem) => /^401 |ERR_ABORTED/.test(problem)));
  },
);

testInBrowser('a listed origin embeds the portal', {}, async (t, { page }) => {
  const app = await embed(t, await makeLink());
  await setPortal({ origins: [app] });
  await page.goto(app);
  const frame = page.frameLocator('iframe');
  await frame.getByRole('navigation', { name: 'Screens' }).waitFor();
  await frame.getByRole('link', { name: 'Subscriptions' }).click();
  await frame.getByRole('heading', { level: 1, name: 'Subscriptions' }).waitFor();
});

testInBrowser('another origin does not embed the portal', {}, async (t, { page, problems }) => {
  await setPortal({ origins: ['https://app.acme.example'] });
  const app = await embed(t, await makeLink());
  const refused = page.waitForEvent('console', (message) => /frame-ancestors/.test(message.text()));
  await page.goto(app);
  await refused;
  t.equal(
    await page.frameLocator('iframe').getByRole('navigation', { name: 'Screens' }).count(),
    0,
  );
  t.ok(problems.splice(0).some((problem) => /frame-ancestors/.test(problem)));
});

testInBrowser(
  'the portal of another tenant in another tab does not take over',
  {},
  async (t, { page, problems }) => {
    await setPortal(null);
    await page.goto(await makeLink());
    await page.getByText('Acme Inc.').waitFor();
    const other = await page.context().newPage();
    await other.goto(await makeLink({}, 'globex'));
    await other.getByText('Globex Corp.').waitFor();
    // The first tab reads its figures again by itself.
    await page.getByRole('heading', { name: 'This page is closed' }).waitFor();
    t.match(await page.getByRole('status').first().textContent(), /another tenant/);
    t.ok(problems.splice(0).every((problem) => /^401 |ERR_ABORTED/.test(problem)));
  },
);

t.test('every colour of a tenant becomes one that can be read', async (t) => {
  for (const colour of [
    '#000000',
    '#ffffff',
    '#ffd400',
    '#808080',
    '#0a7d5a',
    '#ff0000',
    '#7777ff',
  ]) {
    for (const [ground, text] of [
      ['#ffffff', '#000000'],
      ['#15171c', '#ffffff'],
    ] as const)
      t.ok(contrast(readableOn(colour, ground, text), ground) >= 4.5, `${colour} on ${ground}`);
    t.ok(contrast(onColour(colour), colour) >= 4.5, `text on ${colour}`);
  }
  t.equal(readableOn('#0a5d3a', '#ffffff', '#000000'), '#0a5d3a', 'a readable one stays');
});
