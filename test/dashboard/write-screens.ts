// `npm run screens`: takes the pictures of docs/screens/ anew. Look at each of them before you commit it.
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { startEmbeddedPostgres } from '../../src/db/embedded/postgres.ts';
import { migrate } from '../../src/db/migrate.ts';
import { findChromium } from '../helpers/chromium.ts';
import { until } from '../helpers/until.ts';
import { type Sample, startSample } from './sample.ts';

interface Picture {
  readonly name: string;
  readonly path: (sample: Sample) => string;
  /** A text that is there when the screen is. */
  readonly shows: string;
  readonly colorScheme?: 'dark';
  readonly width?: number;
}

const PICTURES: readonly Picture[] = [
  { name: 'overview', path: () => '/', shows: 'Waiting now' },
  { name: 'overview-dark', path: () => '/', shows: 'Waiting now', colorScheme: 'dark' },
  { name: 'webhooks', path: () => '/dashboard/webhooks', shows: 'order.created' },
  {
    name: 'webhook',
    path: ({ webhooks }) => `/dashboard/webhooks/${webhooks.retried}`,
    shows: 'Next attempt in',
  },
  {
    name: 'webhook-phone',
    path: ({ webhooks }) => `/dashboard/webhooks/${webhooks.retried}`,
    shows: 'Next attempt in',
    colorScheme: 'dark',
    width: 375,
  },
  { name: 'problems', path: () => '/dashboard/problems', shows: 'answers 503' },
  { name: 'operations', path: () => '/dashboard/tasks', shows: 'Replay' },
  { name: 'subscriptions', path: () => '/dashboard/subscriptions', shows: 'The warehouse' },
  { name: 'subscription', path: () => '/dashboard/subscriptions/3', shows: 'each bar' },
  {
    name: 'subscription-phone',
    path: () => '/dashboard/subscriptions/3',
    shows: 'each bar',
    colorScheme: 'dark',
    width: 375,
  },
  { name: 'edit-subscription', path: () => '/dashboard/subscriptions/1/edit', shows: 'Receiver' },
  { name: 'event-type', path: () => '/dashboard/event-types/order.created', shows: 'JSON Schema' },
  { name: 'catalogue', path: () => '/catalogue/order.created', shows: 'JSON Schema' },
  { name: 'keys', path: () => '/dashboard/keys', shows: 'console' },
  { name: 'tenants', path: () => '/dashboard/tenants', shows: 'Globex' },
  { name: 'tenant', path: () => '/dashboard/tenants/acme', shows: 'Portal' },
  { name: 'watches', path: () => '/dashboard/watches', shows: 'public.invoices' },
  { name: 'settings', path: () => '/dashboard/settings', shows: 'POSTHORN_ROLE' },
];

const FOLDER = join(import.meta.dirname, '..', '..', 'docs', 'screens');
const WIDTH = 1280;
const HEIGHT = 800;

const dir = mkdtempSync(join(tmpdir(), 'posthorn-screens-'));
// As root, Postgres runs as somebody else, who has to get through.
chmodSync(dir, 0o711);
mkdirSync(FOLDER, { recursive: true });
const postgres = await startEmbeddedPostgres(join(dir, 'data'));
try {
  await migrate(postgres.url);
  const sample = await startSample(postgres.url);
  const { executablePath, env } = await findChromium();
  const browser = await chromium.launch({ executablePath, env: { ...process.env, ...env } });
  const only = process.argv.slice(2);
  for (const { name, path, shows, colorScheme = 'light', width = WIDTH } of PICTURES) {
    if (only.length > 0 && !only.includes(name)) continue;
    const page = await browser.newPage({
      viewport: { width, height: HEIGHT },
      colorScheme,
      locale: 'en-US',
    });
    page.on('console', (message) => console.error(message.text()));
    page.on('pageerror', (error) => console.error(error));
    await page.goto(new URL(path(sample), sample.url).href);
    await page.getByText(shows).first().waitFor();
    await until('all is read', async () => (await page.locator('.loading').count()) === 0);
    await page.screenshot({ path: join(FOLDER, `${name}.png`) });
    await page.close();
  }
  await browser.close();
  await sample.stop();
} finally {
  await postgres.stop();
  rmSync(dir, { recursive: true, force: true });
}
