// The pages of the dashboard in a browser.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import type { Page } from 'playwright-core';
import type { Test } from 'tap';
import type { TestService } from './service.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const SOURCE = join(ROOT, 'src', 'dashboard');
const CONFIG = join(SOURCE, 'vite.config.ts');
const BUILT = join(ROOT, 'dist', 'dashboard', 'index.html');
const THEMES = ['light', 'dark'] as const;
const WIDTHS = [1280, 375] as const;

/** Builds the pages if they are older than their source. Called once before the test files. */
export async function buildDashboard(): Promise<void> {
  const sources = readdirSync(SOURCE, { recursive: true, encoding: 'utf8' });
  const changedAt = Math.max(...sources.map((name) => statSync(join(SOURCE, name)).mtimeMs));
  const builtAt = statSync(BUILT, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (builtAt > changedAt) return;
  const { build } = await import('vite');
  await build({ configFile: CONFIG, logLevel: 'warn' });
}

/** Opens a screen, signed in with a key if one is given. */
export async function openScreen(
  page: Page,
  posthorn: TestService,
  path: string,
  key?: string,
): Promise<void> {
  if (key !== undefined) await signIn(page, posthorn, key);
  await page.goto(`${posthorn.url}/dashboard/${path}`);
  await page.getByRole('heading', { level: 1 }).waitFor();
}

/** Signs the browser in, without the form, in place of whoever was signed in. */
export async function signIn(page: Page, posthorn: TestService, key: string): Promise<void> {
  const answer = await page.request.post(`${posthorn.url}/v1/session`, { data: { key } });
  if (!answer.ok()) throw new Error(`${answer.status()} ${await answer.text()}`);
}

/**
 * Looks at what the page shows now in both themes, at the width of a desktop and of a phone: axe finds nothing, and
 * nothing is wider than the page.
 */
export async function checkLooks(t: Test, page: Page, name: string): Promise<void> {
  const axe = createRequire(import.meta.url).resolve('axe-core/axe.min.js');
  const size = page.viewportSize() ?? { width: 1280, height: 800 };
  for (const colorScheme of THEMES) {
    // Without motion, because a colour that fades has less contrast for a moment.
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    // A frame begins by telling the page that the theme has changed.
    await page.evaluate('new Promise((seen) => requestAnimationFrame(seen))');
    for (const width of WIDTHS) {
      await page.setViewportSize({ width, height: 800 });
      const how = `${name}, ${colorScheme}, ${width} pixels`;
      const found = await page.evaluate<number>('document.documentElement.scrollWidth');
      t.ok(found <= width, `${how}: nothing is wider (${found})`);
      t.strictSame(await findViolations(page, axe, colorScheme), [], `${how}: axe finds nothing`);
    }
  }
  await page.emulateMedia({ colorScheme: 'light', reducedMotion: null });
  await page.setViewportSize(size);
}

interface Violation {
  readonly id: string;
  readonly nodes: readonly { readonly html: string; readonly failureSummary?: string }[];
}

async function findViolations(
  page: Page,
  axe: string,
  colorScheme: (typeof THEMES)[number],
): Promise<string[]> {
  if (!(await page.evaluate<boolean>('"axe" in window'))) {
    // Not by a script element, which the Content-Security-Policy of the page forbids.
    await page.evaluate(readFileSync(axe, 'utf8'));
  }
  const options = {
    // Without what passed and the selectors, which take a third of the CPU.
    resultTypes: ['violations'],
    selectors: false,
    // A theme changes colours only, and these are the rules about colours.
    ...(colorScheme === 'dark' ? { runOnly: ['color-contrast', 'link-in-text-block'] } : {}),
  };
  const { violations } = await page.evaluate<{ violations: Violation[] }>(
    `axe.run(${JSON.stringify(options)})`,
  );
  return violations.flatMap(({ id, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${html} ${failureSummary}`),
  );
}
