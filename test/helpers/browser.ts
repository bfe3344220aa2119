// Tests in a real browser: one browser for a file, started by its first test and closed at the end of the file.
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Browser, type BrowserContext, chromium, type Page } from 'playwright-core';
import root, { type Test } from 'tap';
import { findChromium, whyNoChromium } from './chromium.ts';
import { PATIENCE_MS, until } from './until.ts';

const SCREENSHOTS = join(import.meta.dirname, '..', '..', '.tap', 'screenshots');

export interface Look {
  /** Of the window, in pixels. */
  readonly width?: number;
  readonly height?: number;
  /** What the page is told that its user prefers. */
  readonly colorScheme?: 'light' | 'dark';
}

/** The page of a test, and its problems so far: errors on its console, and requests that failed or were refused. */
export interface View {
  readonly page: Page;
  /** A test takes out those that it expects. Any that is left at its end fails the test. */
  readonly problems: string[];
}

let browser: Promise<Browser> | undefined;

/**
 * Runs a test in a new, empty profile of the browser. It fails if the page reports an error that the test does not
 * expect: on its console (which has violations of its Content-Security-Policy too), or by an answer from 400 on.
 * The page reaches 127.0.0.1 alone. If the test fails, a screenshot is in `.tap/screenshots/`. On a machine without a browser
 * the test is skipped with the reason.
 *
 * @example
 * testInBrowser('the dashboard shows what was sent', { width: 375 }, async (t, { page }) => {
 *   await page.goto(posthorn.url);
 *   await page.getByText('order.created').waitFor();
 * });
 */
export function testInBrowser(
  name: string,
  look: Look,
  work: (t: Test, view: View) => Promise<void>,
): void {
  root.test(name, { skip: whyNoChromium() }, async (t) => {
    browser ??= start();
    const { width = 1280, height = 800, colorScheme = 'light' } = look;
    const context = await (await browser).newContext({
      viewport: { width, height },
      colorScheme,
      // With the locale POSIX, which servers have, this Chromium fails to format numbers.
      locale: 'en-US',
    });
    context.setDefaultTimeout(PATIENCE_MS);
    try {
      const problems = collectProblems(context);
      const page = await context.newPage();
      let ended = false;
      try {
        await work(t, { page, problems });
        t.strictSame(problems, [], 'the page reports no error');
        ended = true;
      } finally {
        if (!ended || !t.passing()) await keepScreenshot(t, page);
      }
    } finally {
      await context.close();
    }
  });
}

/** Starts the browser, which ends with the file, and also when this process is killed. */
async function start(): Promise<Browser> {
  const { executablePath, env } = await findChromium();
  const started = await chromium.launch({
    executablePath,
    env: { ...process.env, ...env },
    // A page that needs something from elsewhere would not work on a private network.
    args: ['--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1'],
    timeout: PATIENCE_MS,
  });
  root.teardown(() => started.close());
  return started;
}

/** Takes the problems out when there are so many. The page may show an answer before it is noted here. */
export async function untilNoted(problems: string[], number = 1): Promise<string[]> {
  await until(`${number} problems are noted`, () => problems.length >= number);
  return problems.splice(0);
}

function collectProblems(context: BrowserContext): string[] {
  const problems: string[] = [];
  context.on('console', (message) => {
    // The answer itself, below, says more.
    const isAnswer = message.text().startsWith('Failed to load resource');
    if (message.type() === 'error' && !isAnswer) problems.push(message.text());
  });
  context.on('weberror', (error) => problems.push(String(error.error())));
  context.on('requestfailed', (request) => {
    const reason = request.failure()?.errorText;
    // The page itself stopped it, because it no longer needs the answer.
    if (reason === 'net::ERR_ABORTED') return;
    problems.push(`${reason} ${request.method()} ${request.url()}`);
  });
  context.on('response', (response) => {
    const { pathname } = new URL(response.url());
    if (response.status() >= 400)
      problems.push(`${response.status()} ${response.request().method()} ${pathname}`);
  });
  return problems;
}

async function keepScreenshot(t: Test, page: Page): Promise<void> {
  await mkdir(SCREENSHOTS, { recursive: true });
  const path = join(SCREENSHOTS, `${t.name.replaceAll(/\W+/g, '-').slice(0, 80)}.png`);
  await page.screenshot({ path });
  t.comment(`The page when the test failed: ${path}`);
}
