// The screens of subscriptions: what they show, and what each action does at a real receiver.
import type { Page } from 'playwright-core';
import { Webhook } from 'standardwebhooks';
import t from 'tap';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { type ReceivedRequest, startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const HOSTILE = `"'><img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>{{7*7}}`;

const receiver = await startReceiver(t, (response, { path }) => {
  response.statusCode = path.startsWith('/fails') ? 503 : 200;
  response.setHeader('x-answer', HOSTILE.replaceAll(/[^ -~]/g, ''));
  response.end(path.startsWith('/fails') ? HOSTILE : '{"ok":true}');
});
const posthorn = await startTestService(t, {
  POSTHORN_RETRY_SCHEDULE: '10ms,10ms,1h',
  POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
});
const keyed = await startTestService(t, {
  POSTHORN_ADMIN_KEY: ADMIN_KEY,
  POSTHORN_ROLE: 'api',
});

async function create(path: string, fields: object = {}): Promise<number> {
  const body = { url: `${receiver.url}/${path}`, ...fields };
  const { json, text, status } = await posthorn.request('POST', '/v1/subscriptions', body);
  if (status !== 201) throw new Error(text);
  return json.id;
}

const read = async (id: number) => (await posthorn.request('GET', `/v1/subscriptions/${id}`)).json;
const send = (event_type: string, data: unknown = {}) =>
  posthorn.request('POST', '/v1/webhooks', { event_type, data });
const receivedAt = (path: string) => receiver.received.filter((one) => one.path === `/${path}`);
const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const link = (page: Page, name: string) => page.getByRole('link', { name, exact: true });
const dialog = (page: Page) => page.getByRole('dialog');

function verify(secret: string, { body, headers }: ReceivedRequest): unknown {
  return new Webhook(secret).verify(body, headers as Record<string, string>);
}

testInBrowser(
  'a subscription is created with all of its fields, and its secret is shown once',
  {},
  async (t, { page }) => {
    await posthorn.request('POST', '/v1/event-types', { name: 'order.created' });
    await openScreen(page, posthorn, 'subscriptions');
    await link(page, 'New subscription').click();
    await page.getByLabel('URL').fill(`${receiver.url}/created`);
    await page.getByLabel('Description').fill('Orders of the shop');
    await page.getByLabel('Event types', { exact: true }).selectOption('some');
    await button(page, '+ order.created').click();
    await page.getByLabel('Channels').fill('eu\nus');
    await page.getByLabel('Filter').fill('$.total > 10');
    await page.getByLabel('Retry schedule').fill('1s,2s');
    await page.getByLabel('Timeout').fill('5s');
    await page.getByLabel('Requests at once').fill('3');
    await page.getByLabel('Rate limit').fill('20');
    await page.getByLabel('Period').fill('1m');
    await page.getByLabel('Order', { exact: true }).selectOption('strict');
    await button(page, 'Add header').click();
    await page.getByRole('textbox', { name: 'Header 1' }).fill('x-environment');
    await page.getByLabel('Value 1').fill('staging');
    await button(page, 'Add key').click();
    await page.getByRole('textbox', { name: 'Key 1' }).fill('team');
    await page.getByLabel('Value 1').last().fill('sales');
    await page.getByText('Additional signature header').click();
    await page.getByLabel('Header', { exact: true }).fill('X-Acme-Signature');
    await page.getByLabel('Its value').fill('v1={hex}');
    await page.getByLabel('What is signed').fill('{timestamp}.{body}');
    await page.getByText('Source of /ingest').click();
    await page.getByLabel('How the source signs').selectOption('hmac');
    await page.getByLabel('Header with the signature').fill('X-Sig');
    await page.getByLabel('Text before it').fill('sha512=');
    await page.getByLabel('Algorithm').selectOption('sha512');
    await page.getByLabel('Encoding').selectOption('base64');
    await page.getByLabel('Secret of the source').fill('the secret of the source');
    await page.getByLabel('Headers of the source that are sent on').selectOption('some');
    await page.getByLabel('These', { exact: true }).fill('X-Gitlab-Event');
    await page.getByLabel('Content types besides JSON').selectOption('none');
    await button(page, 'Create').click();

    const secret = (await dialog(page).locator('code').textContent()) ?? '';
    t.match(secret, /^whsec_/);
    await button(page, 'I have stored it').click();
    await page.getByRole('heading', { name: `${receiver.url}/created` }).waitFor();
    const id = Number(/subscriptions\/(\d+)/.exec(page.url())?.[1]);
    t.notOk((await page.content()).includes(secret), 'it is gone');
    t.match(await read(id), {
      url: `${receiver.url}/created`,
      description: 'Orders of the shop',
      event_types: ['order.created'],
      channels: ['eu', 'us'],
      filter: '($."total" > 10)',
      retry_schedule: '1s,2s',
      timeout: '5s',
      max_in_flight: 3,
      rate_limit: { limit: 20, per: '1m' },
      ordering: 'strict',
      headers: { 'x-environment': 'staging' },
      metadata: { team: 'sales' },
      signature_header: 'X-Acme-Signature',
      signature_template: 'v1={hex}',
      signature_content: '{timestamp}.{body}',
      verify: { scheme: 'hmac', header: 'X-Sig', algorithm: 'sha512', encoding: 'base64' },
      forward_headers: ['X-Gitlab-Event'],
      ingest_content_types: [],
      has_secret: true,
    });
    await posthorn.request('POST', '/v1/webhooks', {
      event_type: 'order.created',
      data: { total: 11 },
      channels: ['eu'],
    });
    const [got] = await until('it has come', () => {
      const got = receivedAt('created');
      return got.length > 0 && got;
    });
    t.match(verify(secret, got as ReceivedRequest), { data: { total: 11 } });
  },
);

testInBrowser(
  'editing changes the fields that were changed, and no other',
  {},
  async (t, { page }) => {
    const id = await create('edited', { filter: '$.total > 1', headers: { 'x-a': '1' } });
    const before = await read(id);
    await openScreen(page, posthorn, `subscriptions/${id}`);
    await link(page, 'Edit').click();
    await page.getByLabel('Description').fill('Now with a description');
    // Somebody else changes another field meanwhile.
    await posthorn.request('PATCH', `/v1/subscriptions/${id}`, { timeout: '7s' });
    await button(page, 'Remove header 1').click();
    await button(page, 'Save').click();
    await page.getByText('Now with a description').waitFor();
    t.strictSame(await read(id), {
      ...before,
      description: 'Now with a description',
      headers: null,
      timeout: '7s',
      updated_at: (await read(id)).updated_at,
    });
  },
);

testInBrowser(
  'a subscription without a URL is created, and may be temporary',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, posthorn, 'subscriptions/new');
    await page.getByLabel('How it gets webhooks').selectOption('pull');
    const expiry = page.getByLabel('Delete it when nobody pulls for');
    await expiry.fill('5s');
    await page.getByLabel('Event types', { exact: true }).selectOption('none');
    await page.getByLabel('Handed out at once').fill('7');
    t.equal(await page.getByLabel('Timeout').count(), 0, 'it has no requests');
    await checkLooks(t, page, 'the form of a subscription without a URL');
    await button(page, 'Create').click();
    await page.getByText(/expire_after .*2m to 365d/).waitFor();
    t.match(await untilNoted(problems), [/^400 POST/]);
    await expiry.fill('10m');
    await button(page, 'Create').click();
    await button(page, 'I have stored it').click();
    await page.getByText('when nobody pulls for 10m').waitFor();
    const id = Number(/subscriptions\/(\d+)/.exec(page.url())?.[1]);
    t.match(await read(id), { url: null, expire_after: '10m', max_in_flight: 7 });
    t.equal(await page.getByText('Circuit', { exact: true }).count(), 0, 'it has no circuit');
    await link(page, 'Edit').click();
    await expiry.fill('');
    await button(page, 'Save').click();
    await page.getByText('never', { exact: true }).waitFor();
    t.match(await read(id), { expire_after: null, max_in_flight: 7 });
  },
);

testInBrowser(
  'the form says at each field what the API refuses',
  {},
  async (t, { page, problems }) => {
    await openScreen(page, posthorn, 'subscriptions/new');
    await page.getByLabel('URL').fill('ftp://example.com');
    await page.getByLabel('Filter').fill('$.total >');
    await button(page, 'Create').click();
    const filter = page.getByLabel('Filter');
    await page.locator('[aria-invalid="true"]').first().waitFor();
    t.match(await untilNoted(problems), [/^400 POST/]);
    t.equal(await page.locator('.field-error').count(), 1);
    await page.getByLabel('Filter').fill('');
    await button(page, 'Create').click();
    await page.getByText(/^url /).waitFor();
    t.match(await untilNoted(problems), [/^400 POST/]);
    t.equal(await page.evaluate('document.activeElement.name'), 'url', 'it has the focus');
    t.ok(await filter.isVisible());
    await page.getByLabel('Filter').fill('$.total > 100');
    await send('some.type', { total: 200 });
    await button(page, 'Try the filter').click();
    await page.getByText(/It matches \d+ of the last \d+ webhooks/).waitFor();
  },
);

testInBrowser(
  'a subscription is paused, and what was held is sent when it is resumed',
  {},
  async (t, { page }) => {
    const id = await create('paused', { event_types: ['pause.test'] });
    await openScreen(page, posthorn, `subscriptions/${id}`);
    await link(page, 'Pause').click();
    t.match(page.url(), /do=pause/, 'the window is in the URL');
    await page.getByLabel('Reason').fill(HOSTILE);
    await button(page, 'Pause').click();
    await page.getByText('Its deliveries are held until it is resumed.').waitFor();
    t.match(await read(id), { status: 'paused', status_reason: HOSTILE });
    await send('pause.test');
    await link(page, '1').waitFor();
    t.equal(receivedAt('paused').length, 0);
    await button(page, 'Resume').click();
    await until('it has come', () => receivedAt('paused').length === 1);
    await link(page, 'Pause').waitFor();
  },
);

testInBrowser(
  'a new subscription gets the latest webhooks that were sent before',
  {},
  async (t, { page }) => {
    await create('earlier', { event_types: ['latest.test'] });
    for (let n = 0; n < 3; n++) await send('latest.test');
    const id = await create('later', { event_types: ['latest.test'] });
    await openScreen(page, posthorn, `subscriptions/${id}`);
    await link(page, 'Send the latest').click();
    t.equal(await page.getByLabel('How many, at most').inputValue(), '10');
    await page.getByLabel('How many, at most').fill('2');
    await button(page, 'Send them').click();
    await page.getByText('2 deliveries are due now.').waitFor();
    await until('they have come', () => receivedAt('later').length === 2);
  },
);

testInBrowser(
  'a disabled subscription is enabled, and its backlog sent or cancelled',
  {},
  async (t, { page }) => {
    const id = await create('enabled', { event_types: ['enable.test'] });
    await posthorn.request('POST', `/v1/subscriptions/${id}/pause`, {});
    await send('enable.test');
    await openScreen(page, posthorn, `subscriptions/${id}?do=enable`);
    await page.getByLabel('Cancel them').check();
    await button(page, 'Enable and cancel them').click();
    await page.getByText('Enabled, and 1 delivery cancelled.').waitFor();
    await until('it is active', async () => (await read(id)).status === 'active');
    t.equal(receivedAt('enabled').length, 0);
  },
);

testInBrowser(
  'a rotated secret is shown once, and both sign during the overlap',
  {},
  async (t, { page }) => {
    const old = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    const id = await create('rotated', { secret: old, event_types: ['rotate.test'] });
    await openScreen(page, posthorn, `subscriptions/${id}`);
    await link(page, 'Rotate the secret').click();
    await page.getByLabel('The secret before goes on signing for').selectOption('1h');
    await button(page, 'Rotate').click();
    const secret = (await dialog(page).locator('code').textContent()) ?? '';
    t.match(secret, /^whsec_/);
    await button(page, 'I have stored it').click();
    await page.getByText('the one before signs too until').waitFor();
    t.notOk((await page.content()).includes(secret));
    await send('rotate.test');
    const [got] = await until('it has come', () => {
      const got = receivedAt('rotated');
      return got.length > 0 && got;
    });
    for (const one of [old, secret]) t.ok(verify(one, got as ReceivedRequest));
  },
);

testInBrowser("a test shows the receiver's answer and its timing", {}, async (t, { page }) => {
  const id = await create('fails-test');
  await openScreen(page, posthorn, `subscriptions/${id}`);
  await link(page, 'Send a test').click();
  await page.getByLabel('Event type').fill('order.created');
  await page.getByLabel('Data (JSON)').fill('{"id": ');
  await button(page, 'Send').click();
  await page.getByText(/data is not JSON/).waitFor();
  t.equal(receivedAt('fails-test').length, 0);
  await page.getByLabel('Data (JSON)').fill('{"id": 7}');
  await button(page, 'Send').click();
  const outcome = page.getByRole('region', { name: 'The answer', exact: true });
  await outcome.getByText('HTTP 503').waitFor();
  t.match(JSON.parse(`${receivedAt('fails-test')[0]?.body}`), {
    type: 'order.created',
    data: { id: 7 },
  });
  t.ok((await outcome.textContent())?.includes(HOSTILE), 'the body of the answer, as text');
  await outcome.getByText(/^Headers of the answer/).click();
  await outcome.getByText(/x-answer/).waitFor();
  t.match(await outcome.textContent(), /Connect.*First byte/);
  t.not(await page.title(), 'hacked');
  await checkLooks(t, page, 'the answer of a test');
});

testInBrowser(
  'deleting asks for the id, and cancels what waits',
  {},
  async (t, { page, problems }) => {
    const id = await create('deleted', { event_types: ['delete.test'] });
    await posthorn.request('POST', `/v1/subscriptions/${id}/pause`, {});
    await send('delete.test');
    await openScreen(page, posthorn, `subscriptions/${id}`);
    await link(page, 'Delete').click();
    t.ok(await button(page, 'Delete').isDisabled());
    await page.getByLabel(/To confirm, type/).fill(`${id + 1}`);
    t.ok(await button(page, 'Delete').isDisabled());
    await page.getByLabel(/To confirm, type/).fill(`${id}`);
    await button(page, 'Delete').click();
    await page.getByText('Deleted. What waited for it is cancelled.').waitFor();
    t.match(page.url(), /\/dashboard\/subscriptions$/);
    t.equal((await posthorn.request('GET', `/v1/subscriptions/${id}`)).status, 404);
    await until('its delivery is cancelled', async () => {
      const { json } = await posthorn.request('GET', `/v1/deliveries?subscription_id=${id}`);
      return json.data.length === 1 && json.data[0].state === 'cancelled';
    });
    problems.splice(0);
  },
);

testInBrowser(
  'the list shows the states, is filtered in the URL, and read by keys',
  {},
  async (t, { page }) => {
    const url = `${receiver.url}/fails-in-list?x=${encodeURIComponent(HOSTILE)}`;
    const { json } = await posthorn.request('POST', '/v1/subscriptions', {
      url,
      description: HOSTILE,
      event_types: ['list.test'],
      rate_limit: { limit: 1000, per: '1m' },
    });
    await send('list.test');
    await until('its circuit is open', async () => {
      const health = await posthorn.request('GET', `/v1/subscriptions/${json.id}/health`);
      return health.json.circuit.state === 'open';
    });
    await openScreen(page, posthorn, 'subscriptions');
    const row = page.getByRole('row').filter({ hasText: 'fails-in-list' });
    await row.getByText('circuit open').waitFor();
    await row.getByText('1,000 per 1m').waitFor();
    t.ok((await row.textContent())?.includes(HOSTILE), 'hostile text is text');
    await link(page, 'Failing').click();
    await page.waitForURL(/show=failing/);
    await page.keyboard.press('/');
    await page.keyboard.type('IN-LIST');
    await page.waitForURL(/search=IN-LIST/);
    await until('only it is shown', async () => (await page.getByRole('row').count()) === 2);
    await page.reload();
    await row.waitFor();
    t.equal(await page.getByRole('row').count(), 2, 'a reload shows the same');
    await page.keyboard.press('j');
    await page.keyboard.press('Enter');
    await page.getByText('The circuit is open').waitFor();
    t.not(await page.title(), 'hacked');
    await checkLooks(t, page, 'a subscription that fails');
    await page.goBack();
    await link(page, 'Disabled').click();
    await page.getByText('No subscription matches').waitFor();
  },
);

testInBrowser(
  'the screens of subscriptions look right, and can be used by everybody',
  {},
  async (t, { page }) => {
    const id = await create('looks', {
      signature_scheme: 'ed25519',
      event_types: Array.from({ length: 30 }, (_, n) => `a.long_event_type.number_${n}`),
      description: 'x'.repeat(300),
      headers: { 'x-a-long-header-name-that-has-to-wrap': 'y'.repeat(300) },
    });
    for (const [path, text] of [
      ['subscriptions', 'Receiver'],
      [`subscriptions/${id}`, 'Public key'],
      ['subscriptions/new', 'Delivery'],
      [`subscriptions/${id}/edit`, 'Delivery'],
      [`subscriptions/${id}?do=pause`, 'Nothing is lost'],
      [`subscriptions/${id}?do=enable`, 'What becomes of the deliveries'],
      [`subscriptions/${id}?do=rotate`, 'goes on signing'],
      [`subscriptions/${id}?do=test`, 'Data (JSON)'],
      [`subscriptions/${id}?do=replay-latest`, 'How many, at most'],
      [`subscriptions/${id}?do=delete`, 'To confirm'],
    ] as const) {
      await openScreen(page, posthorn, path);
      await page.getByText(text, { exact: false }).first().waitFor();
      await checkLooks(t, page, path);
    }
  },
);

testInBrowser(
  'a key that may only read is offered nothing to press',
  {},
  async (t, { page, problems }) => {
    const admin = { authorization: `Bearer ${ADMIN_KEY}` };
    const ask = async (path: string, body: object) =>
      (await keyed.request('POST', path, body, admin)).json;
    const { id } = await ask('/v1/subscriptions', {
      url: 'https://example.com/',
      secret: 'a secret',
    });
    const { key } = await ask('/v1/keys', { scopes: ['read'] });
    await openScreen(page, keyed, 'subscriptions', key);
    await page.getByText('https://example.com/').waitFor();
    t.equal(await link(page, 'New subscription').count(), 0);
    await openScreen(page, keyed, `subscriptions/${id}?do=delete`);
    await page.getByText('What it gets, and how').waitFor();
    for (const name of ['Pause', 'Send a test', 'Replay', 'Edit', 'Delete', 'Rotate the secret'])
      t.equal(await link(page, name).count(), 0, name);
    t.equal(await dialog(page).count(), 0, 'nor by the URL');
    await openScreen(page, keyed, `subscriptions/${id}/edit`);
    await page.getByText('This page needs the scope manage').waitFor();
    t.strictSame(problems, []);
  },
);

testInBrowser('an empty list says how it is filled', {}, async (t, { page }) => {
  await keyed.request(
    'POST',
    '/v1/tenants',
    { id: 'empty' },
    { authorization: `Bearer ${ADMIN_KEY}` },
  );
  await openScreen(page, keyed, 'subscriptions?tenant=empty', ADMIN_KEY);
  await page.getByText('There are no subscriptions yet').waitFor();
  await page.getByText(`curl ${keyed.url}/v1/subscriptions`).waitFor();
  await checkLooks(t, page, 'no subscriptions');
});
