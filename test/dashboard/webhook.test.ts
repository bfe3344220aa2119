// The screen of one webhook: what it shows, and what each action does at a real receiver.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const ADMIN_KEY = 'an admin key of some length';
const HOSTILE = `"'><img src=x onerror="document.title='hacked'"><script>document.title='hacked'</script>`;

const broken = new Set<string>();
const receiver = await startReceiver(t, (response, { path }) => {
  response.statusCode = broken.has(path) ? 503 : 200;
  response.end(HOSTILE);
});
const posthorn = await startTestService(t, { POSTHORN_RETRY_SCHEDULE: '1h,1h' });

/** Sends a webhook to a new subscription of its own, and waits for its first attempt. */
async function send(path: string, data: unknown = { order: 7 }, fails = false) {
  if (fails) broken.add(path);
  const url = `${receiver.url}${path}`;
  const event_type = `test${path.replaceAll(/\W/g, '.')}`;
  const created = await posthorn.request('POST', '/v1/subscriptions', {
    url,
    event_types: [event_type],
  });
  if (created.status !== 201) throw new Error(created.text);
  const { json } = await posthorn.request('POST', '/v1/webhooks', { event_type, data });
  await until('an attempt is recorded', async () => {
    const { deliveries } = (await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`)).json;
    return deliveries[0]?.attempts.length > 0;
  });
  return { id: json.webhook_id as string, subscription: created.json.id as number, event_type };
}

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const receivedAt = (path: string) => receiver.received.filter((one) => one.path === path);
const copied = (page: Page) => page.evaluate<string>('window.copied');

/** The longest time for which the page could not react, in milliseconds. */
const LONGEST_TASK = `new Promise((resolve) => {
  new PerformanceObserver((list) => resolve(Math.max(...list.getEntries().map(({ duration }) => duration))))
    .observe({ type: 'longtask', buffered: true });
  setTimeout(() => resolve(0), 500);
})` as unknown as () => Promise<number>;

/** Keeps what the page copies. */
const WATCH_CLIPBOARD = `Object.defineProperty(navigator, 'clipboard', {
  value: { writeText: async (text) => { window.copied = text; } } });`;

testInBrowser(
  'a webhook shows its body, its attempts and why it waits',
  {},
  async (t, { page }) => {
    const { id, event_type } = await send('/shows', { order: 12345678901234, tags: [] }, true);
    await openScreen(page, posthorn, `webhooks/${id}`);
    await page.getByRole('heading', { level: 1, name: event_type }).waitFor();
    await page.getByText('12345678901234').waitFor();
    await page
      .getByText('The receiver answered 503 Service Unavailable.', { exact: true })
      .waitFor();
    await page.getByText(HOSTILE, { exact: true }).waitFor();
    await page.getByText(/^Next attempt in \d/).waitFor();
    await page
      .getByText(/Pending: .*retry|attempt 2/i)
      .first()
      .waitFor();
    const accepted = page.locator('.facts time').first();
    t.match(await accepted.getAttribute('title'), /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} UTC$/);
    t.equal(await page.title(), 'Webhooks · Posthorn', 'no script of the receiver ran');
    await checkLooks(t, page, 'a webhook');
  },
);

testInBrowser(
  'Retry sends the delivery again, and the screen shows how it went',
  {},
  async (t, { page }) => {
    const { id } = await send('/retry', {}, true);
    await openScreen(page, posthorn, `webhooks/${id}`);
    broken.delete('/retry');
    await button(page, 'Retry').click();
    await until('the receiver gets it', () => receivedAt('/retry').length === 2);
    await page.locator('.delivery').getByText('succeeded').waitFor();
    await page.getByText('#2').waitFor();
    t.pass('the second attempt is shown without a reload');
  },
);

testInBrowser('Cancel asks first, and then nothing is sent', {}, async (t, { page }) => {
  const { id } = await send('/cancel', {}, true);
  await openScreen(page, posthorn, `webhooks/${id}`);
  await button(page, 'Cancel deliveries').click();
  await button(page, 'Keep it as it is').click();
  const stateOf = async () =>
    (await posthorn.request('GET', `/v1/webhooks/${id}`)).json.deliveries[0].state;
  t.equal(await stateOf(), 'pending');
  await button(page, 'Cancel deliveries').click();
  await checkLooks(t, page, 'the question');
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel deliveries' }).click();
  await page.locator('.delivery').getByText('cancelled', { exact: true }).waitFor();
  t.equal(await stateOf(), 'cancelled');
  t.equal(receivedAt('/cancel').length, 1);
});

testInBrowser(
  'an attempt shows its phases and the headers that were sent, and what failed stands first',
  {},
  async (t, { page }) => {
    const event_type = 'test.two';
    broken.add('/two/bad');
    for (const path of ['/two/good', '/two/bad'])
      await posthorn.request('POST', '/v1/subscriptions', {
        url: `${receiver.url}${path}`,
        event_types: [event_type],
        generate_secret: true,
      });
    const { json } = await posthorn.request('POST', '/v1/webhooks', { event_type, data: {} });
    await until('both were attempted', async () => {
      const { deliveries } = (await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`))
        .json;
      return deliveries.every(({ attempts_made }: { attempts_made: number }) => attempts_made > 0);
    });
    await openScreen(page, posthorn, `webhooks/${json.webhook_id}`);
    const receivers = page.locator('.delivery .receiver');
    await receivers.nth(1).waitFor();
    t.match((await receivers.allTextContents())[0], /bad$/, 'the failing one stands first');
    const first = page.locator('.delivery').first();
    await first.getByText(/^First byte \d/).waitFor();
    await first.getByText(/^(new|reused) connection$/).waitFor();
    await first.getByText('Request headers').click();
    await first.getByText('Signatures are made for each attempt').first().waitFor();
    const sent = receivedAt('/two/bad')[0]?.headers['webhook-timestamp'] as string;
    await first.getByText(sent, { exact: true }).waitFor();
    await checkLooks(t, page, 'an attempt with its headers');
  },
);

testInBrowser(
  'one delivery is cancelled by itself, and can be sent after all',
  {},
  async (t, { page }) => {
    const { id } = await send('/cancel-one', {}, true);
    await openScreen(page, posthorn, `webhooks/${id}`);
    await button(page, 'Cancel').click();
    await page.getByRole('dialog').getByRole('button', { name: 'Cancel', exact: true }).click();
    await page.getByText('The delivery is cancelled, and nothing is sent.').waitFor();
    await page.locator('.delivery').getByText('cancelled', { exact: true }).waitFor();
    t.equal(await button(page, 'Cancel').count(), 0);
    broken.delete('/cancel-one');
    await button(page, 'Retry').click();
    await page.locator('.delivery').getByText('succeeded').waitFor();
    t.equal(receivedAt('/cancel-one').length, 2);
  },
);

testInBrowser(
  'a paused subscription is resumed where it is said that it is paused',
  {},
  async (t, { page }) => {
    const { event_type, subscription } = await send('/paused');
    await posthorn.request('POST', `/v1/subscriptions/${subscription}/pause`, {});
    const { json } = await posthorn.request('POST', '/v1/webhooks', { event_type, data: {} });
    await until('it is held', async () => {
      const { deliveries } = (await posthorn.request('GET', `/v1/webhooks/${json.webhook_id}`))
        .json;
      return deliveries[0].state === 'held';
    });
    await openScreen(page, posthorn, `webhooks/${json.webhook_id}`);
    await page.getByText(/^Held: .*paused/).waitFor();
    await button(page, 'Resume the subscription').click();
    await until('the receiver gets it', () => receivedAt('/paused').length === 2);
    await page.locator('.delivery').getByText('succeeded').waitFor();
    t.pass();
  },
);

testInBrowser(
  'the body, the request and the query can be copied, and they work',
  {},
  async (t, { page }) => {
    const { id } = await send('/copy', { text: "it's" });
    const client = await connect(t, posthorn.databaseUrl);
    await page.addInitScript(WATCH_CLIPBOARD);
    await openScreen(page, posthorn, `webhooks/${id}`);
    await button(page, 'Copy the body').click();
    t.match(JSON.parse(await copied(page)), { data: { text: "it's" } });
    await button(page, 'Copy the id').click();
    t.equal(await copied(page), id);
    for (const name of ['Copy as SQL', 'SQL']) {
      await button(page, name).click();
      const results = (await client.query(await copied(page))) as unknown as { rowCount: number }[];
      t.strictSame(
        results.map(({ rowCount }) => rowCount),
        [1, 1],
        `${name}: the delivery and its attempt`,
      );
    }
    await button(page, 'Copy as curl').click();
    t.match(await copied(page), new RegExp(`^curl '${posthorn.url}/v1/webhooks/${id}'`));
    await button(page, 'curl').hover();
    await until('the command has the body', async () => {
      await button(page, 'curl').click();
      return (await copied(page)).includes(`it'\\''s`);
    });
    t.match(await copied(page), `'${receiver.url}/copy'`);
  },
);

testInBrowser(
  'hostile and huge bodies are shown as text, in part, and do not hold up the page',
  {},
  async (t, { page }) => {
    const bodies = {
      'a million levels': `${'['.repeat(1_000_000)}${']'.repeat(1_000_000)}`,
      'a mebibyte of lines': JSON.stringify(Array.from({ length: 150_000 }, (_, n) => n)),
      'a long line': JSON.stringify('x'.repeat(900_000)),
      'a script': JSON.stringify({ [HOSTILE]: HOSTILE }),
      'no JSON': `${HOSTILE}\u0001\uFFFD`,
    };
    const subscription = await posthorn.subscribe(`${receiver.url}/huge`);
    const client = await connect(t, posthorn.databaseUrl);
    for (const [what, body] of Object.entries(bodies)) {
      const id = await posthorn.ingest(subscription);
      // The API takes no such JSON, but `posthorn.send_raw` does.
      await client.query('update posthorn.webhook_payloads set body = $2 where id = $1', [
        id,
        Buffer.from(body),
      ]);
      await openScreen(page, posthorn, `webhooks/${id}`);
      await page.getByRole('group', { name: 'Body', exact: true }).waitFor();
      const shown = await page.getByRole('group', { name: 'Body', exact: true }).textContent();
      const longest = await page.evaluate(LONGEST_TASK);
      t.ok(longest < 5_000, `${what}: the page was busy for ${longest} ms at a time`);
      t.ok((shown ?? '').length < 300_000, `${what}: ${shown?.length} characters`);
      await button(page, 'Raw').click();
      await page.waitForURL(/body=raw/);
      t.notMatch(await page.title(), 'hacked', what);
    }
  },
);

testInBrowser(
  'a webhook that does not exist, or of another tenant, says so',
  {},
  async (t, { page, problems }) => {
    await posthorn.request('POST', '/v1/tenants', { id: 'other' });
    const { id } = await send('/foreign');
    await openScreen(page, posthorn, `webhooks/${id}?tenant=other`);
    await page.getByText(`There is no webhook ${id}.`).waitFor();
    await checkLooks(t, page, 'not found');
    await until('the answer is noted', () => problems.length > 0);
    t.strictSame([...new Set(problems.splice(0))], [`404 GET /v1/webhooks/${id}`]);
  },
);

testInBrowser('who may only read has no buttons that change something', {}, async (t, { page }) => {
  const keyed = await startTestService(t, { POSTHORN_ADMIN_KEY: ADMIN_KEY, POSTHORN_ROLE: 'api' });
  const authorization = `Bearer ${ADMIN_KEY}`;
  const ask = async (path: string, body: object) =>
    (await keyed.request('POST', path, body, { authorization })).json;
  await ask('/v1/subscriptions', { url: receiver.url, event_types: ['*'] });
  const { webhook_id } = await ask('/v1/webhooks', { event_type: 'a.b', data: {} });
  const { key } = await ask('/v1/keys', { tenant: 'default', scopes: ['read'] });
  await openScreen(page, keyed, `webhooks/${webhook_id}`, key);
  await page.locator('.delivery').getByText('pending', { exact: true }).waitFor();
  t.equal(await button(page, 'Retry').count(), 0);
  t.equal(await button(page, 'Cancel').count(), 0);
  t.equal(await button(page, 'Cancel deliveries').count(), 0);
});
