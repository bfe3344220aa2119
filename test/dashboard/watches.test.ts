// The screens of watched tables: a table is watched, its rows are sent, and the watch ended, in the browser.
import type { Page } from 'playwright-core';
import t from 'tap';
import { testInBrowser, untilNoted } from '../helpers/browser.ts';
import { checkLooks, openScreen } from '../helpers/dashboard.ts';
import { connect } from '../helpers/database.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { createRole } from '../helpers/sender.ts';
import { startTestService } from '../helpers/service.ts';

const HOSTILE = `<img src=x onerror=alert>`;
const receiver = await startReceiver(t);
const posthorn = await startTestService(t);
const client = await connect(t, posthorn.databaseUrl);
await client.query(`
  create schema shop;
  create table shop.orders (id integer primary key, total numeric, note text);
  insert into shop.orders select n, n, 'old' from generate_series(1, 5) n`);

const button = (page: Page, name: string) => page.getByRole('button', { name, exact: true });
const link = (page: Page, name: string) => page.getByRole('link', { name, exact: true });
const dialog = (page: Page) => page.getByRole('dialog');
/** The data of what the receiver has got, without what it got before. */
async function received(number: number) {
  const all = await receiver.waitFor(number);
  return all.slice(-1).map(({ body }) => JSON.parse(String(body)));
}

testInBrowser('a table is watched, its rows are sent, and the watch ends', {}, async (t, view) => {
  const { page } = view;
  await posthorn.request('POST', '/v1/subscriptions', {
    url: receiver.url,
    event_types: ['sales.*'],
  });
  await openScreen(page, posthorn, 'watches');
  await page.getByText('No table is watched').waitFor();
  await page.getByText(`curl ${posthorn.url}/v1/watches`).waitFor();
  await checkLooks(t, page, 'no watched tables');

  await link(page, 'Watch a table').first().click();
  await page.getByLabel('Table', { exact: true }).fill('orders');
  await page.getByLabel('Schema').fill('shop');
  await page.getByLabel('deletes').uncheck();
  await page.getByLabel('Only rows with').fill('new.total > 3');
  await page.getByLabel('Only updates of these columns').fill('total, note');
  await page.getByLabel('Columns that are sent').fill('id,total');
  await page.getByLabel('Updates have the old row too').uncheck();
  await page.getByLabel('Event types begin with').fill('sales');
  await page.getByLabel('Ordering key').fill('pk');
  await page.getByLabel('One call of the trigger').selectOption('row');
  await page.getByLabel('If a webhook cannot be sent').selectOption('skip');
  await checkLooks(t, page, 'the form of a watch');
  await button(page, 'Watch it').click();
  await page.getByRole('heading', { name: 'shop.orders' }).waitFor();
  const { rows } = await client.query(
    `select rel::text, ops, "when", columns, payload_columns, with_old, event_type, ordering_key, per, on_error, tenant from posthorn.watches`,
  );
  t.strictSame(rows, [
    {
      rel: 'shop.orders',
      ops: ['insert', 'update'],
      when: 'new.total > 3',
      columns: ['total', 'note'],
      payload_columns: ['id', 'total'],
      with_old: false,
      event_type: 'sales',
      ordering_key: 'pk',
      per: 'row',
      on_error: 'skip',
      tenant: 'default',
    },
  ]);
  await page.getByText('new.total > 3').waitFor();
  await checkLooks(t, page, 'a watched table');
  await client.query(`insert into shop.orders values (6, 6, 'new')`);
  t.match(await received(1), [{ type: 'sales.inserted', data: { new: { id: 6, total: 6 } } }]);

  await link(page, 'Send existing rows').click();
  await page.getByLabel('Only rows with').fill('new.id = 5');
  await page.getByLabel('Rows a second, at most').fill('100');
  await checkLooks(t, page, 'the form of existing rows');
  await button(page, 'Send them').click();
  await page.getByText('1 row sent').waitFor();
  await page.getByText('succeeded', { exact: true }).waitFor();
  t.match(await received(2), [
    { type: 'sales.inserted', data: { new: { id: 5 }, backfill: true } },
  ]);
  await checkLooks(t, page, 'existing rows');

  await link(page, 'shop.orders').click();
  await button(page, 'End the watch').click();
  await dialog(page).getByText('Changes of shop.orders are no longer sent.').waitFor();
  await dialog(page).getByRole('button', { name: 'End the watch' }).click();
  await page.getByText('No table is watched').waitFor();
  t.equal((await client.query('select from posthorn.watches')).rowCount, 0);
});

testInBrowser('the forms say at each field what is refused', {}, async (t, { page, problems }) => {
  await openScreen(page, posthorn, 'watches?do=new');
  await page.getByLabel('Table', { exact: true }).fill('nothing');
  await button(page, 'Watch it').click();
  await page.getByText(/names no table/).waitFor();
  await page.getByLabel('Table', { exact: true }).fill('orders');
  await page.getByLabel('Schema').fill('shop');
  await page.getByLabel('Only updates of these columns').fill('totl');
  await button(page, 'Watch it').click();
  await page.locator('.field-error').filter({ hasText: 'totl' }).waitFor();
  await page.getByLabel('Only updates of these columns').fill('');
  await page.getByLabel('Only rows with').fill('(select true)');
  await button(page, 'Watch it').click();
  await page.locator('.field-error').filter({ hasText: 'when' }).waitFor();
  t.strictSame(
    await untilNoted(problems, 3),
    Array(3).fill('400 POST /v1/watches'),
    'and the API has refused each',
  );
  t.equal((await client.query('select from posthorn.watches')).rowCount, 0);
});

testInBrowser(
  'what a watch could not send is shown, and why it sends nothing',
  {},
  async (t, view) => {
    const { page } = view;
    const owner = await createRole(t, client);
    await client.query(`
    create table shop."${HOSTILE}" (id integer, total numeric);
    grant usage, create on schema shop to ${owner};
    alter table shop."${HOSTILE}" owner to ${owner};
    select posthorn.allow_sender('${owner}');
    select posthorn.watch('shop."${HOSTILE}"', event_type => 'odd', on_error => 'skip', "when" => '1 / new.total > 0');
    insert into shop."${HOSTILE}" values (1, 0), (2, 0);
    insert into shop."${HOSTILE}" values (3, 0);
    select posthorn.backfill('shop."${HOSTILE}"')`);
    await openScreen(page, posthorn, 'watches');
    const row = page.getByRole('row').filter({ hasText: 'onerror' });
    await row.getByText('3 not sent').waitFor();
    await checkLooks(t, page, 'watched tables');
    await row.getByRole('link').click();
    await page.getByText('3 webhooks could not be sent').waitFor();
    await page.getByText('division by zero').waitFor();
    await client.query(`alter table shop."${HOSTILE}" disable trigger user`);
    await page.reload();
    await page.getByText('Its triggers are disabled').waitFor();
    await checkLooks(t, page, 'a watch that sends nothing');

    await openScreen(page, posthorn, 'watches?show=rows');
    const waiting = page.getByRole('row').filter({ hasText: 'onerror' });
    await waiting.getByText(/posthorn\.send_backfill\(\d+\)/).waitFor();
    await checkLooks(t, page, 'existing rows that the workers may not send');
    await waiting.getByRole('button', { name: 'Cancel' }).click();
    await dialog(page).getByRole('button', { name: 'Cancel', exact: true }).click();
    await waiting.getByText('cancelled', { exact: true }).waitFor();
    t.strictSame(
      (await client.query(`select state from posthorn.backfills where state = 'cancelled'`)).rows,
      [{ state: 'cancelled' }],
    );
  },
);
