// The first screen: is everything well?
import { testInBrowser } from '../helpers/browser.ts';
import { checkLooks } from '../helpers/dashboard.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

/** Counts of the last hour, and more of the last day. */
const COUNTS = `
  insert into posthorn.counts_by_minute (tenant, minute, accepted, success, failed, timeout, blocked, duration_classes, duration_numbers)
  select 'default', date_trunc('minute', now()) - m * interval '1 minute', 500, 480, 20, 0, 0, '{6,12}', '{480,20}'
  from unnest(array[10, 11, 12, 300]) as m`;

testInBrowser(
  'the first screen teaches the first steps, and goes on by itself when they are done',
  {},
  async (t, { page }) => {
    const receiver = await startReceiver(t);
    const posthorn = await startTestService(t);
    await page.goto(posthorn.url);
    await page.getByText('First, a subscription').waitFor();
    await checkLooks(t, page, 'the first steps');
    const command = page.getByRole('group', { name: 'Command' });
    t.match(await command.textContent(), `curl '${posthorn.url}/v1/subscriptions'`);
    const body = { url: receiver.url, event_types: ['*'] };
    await posthorn.request('POST', '/v1/subscriptions', body);
    await page.getByRole('heading', { name: 'Send a webhook' }).waitFor();
    const [, path = '', data = ''] =
      /curl '[^']*(\/v1[^']*)'.*--data-binary '([^']*)'/s.exec(
        (await command.textContent()) ?? '',
      ) ?? [];
    t.equal((await posthorn.request('POST', path, data)).status, 202, 'the command is right');
    await command.waitFor({ state: 'detached' });
    await receiver.waitFor(1);
  },
);

testInBrowser(
  'figures, charts, what waits and what fails are shown, and follow what happens',
  {},
  async (t, { page }) => {
    const receiver = await startReceiver(t, (response) => response.writeHead(503).end());
    const posthorn = await startTestService(t, {
      POSTHORN_CIRCUIT: 'failures=3,over=0s,probe=1h,max=1h',
      POSTHORN_RETRY_SCHEDULE: '10ms,10ms,10ms,1h',
    });
    const client = await connect(t, posthorn.databaseUrl);
    await client.query(COUNTS);
    await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
    await page.goto(posthorn.url);
    const tile = (name: string) => page.locator('.tile', { hasText: name }).locator('strong');
    // With the webhook, once its minute is counted.
    await tile('Accepted')
      .getByText(/^1,50[01]$/)
      .waitFor();
    t.equal(await tile('Delivered').textContent(), '1,440');
    t.equal(await tile('Failed').textContent(), '60');
    t.equal(await tile('Success rate').textContent(), '96 %');
    await page.getByRole('link', { name: '24h' }).click();
    await tile('Accepted')
      .getByText(/^2,00[01]$/)
      .waitFor();
    t.match(page.url(), /\?window=24h$/);
    t.match(
      await page.getByRole('img', { name: /per minute/ }).getAttribute('aria-label'),
      /200[01] accepted, 1920 delivered, 80 failed/,
    );
    await page.getByText('None: all receivers take their webhooks.').waitFor();

    const { json } = await posthorn.request('POST', '/v1/subscriptions', {
      url: `${receiver.url}/down`,
      event_types: ['*'],
    });
    for (let n = 0; n < 6; n += 1)
      await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: { n } });
    await page.getByText('the circuit of the subscription is open').waitFor();
    const failing = page.getByRole('table', { name: 'Subscriptions that fail' });
    await failing.getByText(`${json.id} · ${receiver.url}/down`).waitFor();
    await failing.getByText('circuit open').waitFor();
    await checkLooks(t, page, 'the overview');
    await page.getByRole('link', { name: 'Held' }).click();
    await until(
      'held deliveries are listed',
      async () => (await page.locator('tbody tr').count()) > 0,
    );
  },
);

testInBrowser('it says when no worker is alive', {}, async (t, { page }) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  await page.goto(posthorn.url);
  await page.getByText('No worker is alive, so nothing is delivered.').waitFor();
  await checkLooks(t, page, 'no worker');
});

testInBrowser('nothing moves while the figures change', {}, async (t, { page }) => {
  const posthorn = await startTestService(t, { POSTHORN_ROLE: 'api' });
  const client = await connect(t, posthorn.databaseUrl);
  await client.query(COUNTS);
  await posthorn.request('POST', '/v1/webhooks', { event_type: 'a.b', data: {} });
  await page.goto(posthorn.url);
  await page.locator('.tile').getByText('1,500').waitFor();
  await page.locator('canvas').nth(1).waitFor();
  await page.evaluate(`window.moved = 0;
    new PerformanceObserver((list) => { for (const { value } of list.getEntries()) window.moved += value; })
      .observe({ type: 'layout-shift' })`);
  await client.query(
    'update posthorn.counts_by_minute set accepted = accepted * 3, success = success * 3, failed = failed * 3',
  );
  await page.locator('.tile').getByText('4,500').waitFor();
  t.equal(await page.evaluate('window.moved'), 0);
});
