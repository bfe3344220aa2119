// How the pages of the dashboard are served. What they show is tested in test/dashboard/.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliCompressSync, gzipSync } from 'node:zlib';
import cookie from '@fastify/cookie';
import Fastify from 'fastify';
import t, { type Test } from 'tap';
import { registerErrors } from '../../src/api/plugins/errors.ts';
import { registerPages } from '../../src/api/plugins/pages.ts';
import { sendWith } from '../helpers/raw.ts';
import { startTestService } from '../helpers/service.ts';

const BROWSER = { accept: 'text/html,application/xhtml+xml,*/*;q=0.8' };
/** Nobody may embed anything. What portals allow is tested in portal.test.ts. */
const NO_PORTALS = { origins: async () => [] };
const SCRIPT = 'console.log("a script of some length");'.repeat(100);

/** Serves a folder with what a build leaves, or with nothing. */
async function serve(t: Test, built: boolean): Promise<{ url: string; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), 'posthorn-pages-'));
  t.teardown(() => rm(dir, { recursive: true }));
  if (built) {
    await mkdir(join(dir, 'assets'));
    await writeFile(join(dir, 'index.html'), '<!doctype html><title>Posthorn</title>');
    await writeFile(
      join(dir, 'catalogue.html'),
      '<!doctype html><title>Posthorn catalogue</title>',
    );
    await writeFile(join(dir, 'assets', 'main-1a2b.js'), SCRIPT);
    await writeFile(join(dir, 'assets', 'main-1a2b.js.br'), brotliCompressSync(SCRIPT));
    await writeFile(join(dir, 'assets', 'main-1a2b.js.gz'), gzipSync(SCRIPT));
    await writeFile(join(dir, 'secret.txt'), 'not to be served');
  }
  const app = Fastify();
  registerErrors(app, 'everything');
  await app.register(cookie, { hook: false });
  await registerPages(app, { portalLinks: NO_PORTALS, catalogue: true, dir });
  t.teardown(() => app.close());
  return { url: await app.listen({ port: 0, host: '127.0.0.1' }), dir };
}

const get = (url: string, headers: Record<string, string> = {}) => fetch(url, { headers });

t.test(
  'a browser gets the page at / and at every screen, and a program the old answer',
  async (t) => {
    const { url } = await serve(t, true);
    const screens = ['/dashboard', '/dashboard/', '/dashboard/webhooks/1?state=failed'];
    for (const path of ['/', ...screens, '/catalogue', '/catalogue/order.created']) {
      const page = await get(url + path, BROWSER);
      t.equal(page.status, 200, path);
      t.match(page.headers.get('content-type'), /^text\/html/);
      t.match(await page.text(), /<title>Posthorn/);
      t.equal(page.headers.get('cache-control'), 'no-cache');
      const again = await sendWith(url + path, 'GET', {
        ...BROWSER,
        'if-none-match': page.headers.get('etag') ?? '',
      });
      t.equal(again.status, 304);
    }
    const program = await get(`${url}/`, { accept: '*/*' });
    t.equal(program.status, 404);
    t.match(await program.json(), { detail: /There is no route GET \/; \/api\/docs\/ lists/ });
  },
);

t.test('pages may load only what is of this service, and nobody may frame them', async (t) => {
  const { url } = await serve(t, true);
  for (const path of ['/', '/dashboard/webhooks', '/catalogue', '/dashboard/assets/main-1a2b.js']) {
    const { headers } = await get(url + path, BROWSER);
    t.equal(
      headers.get('content-security-policy'),
      "default-src 'none';script-src 'self';style-src 'self';img-src 'self' data:;connect-src 'self';base-uri 'none';form-action 'none';frame-ancestors 'none'",
    );
    t.equal(headers.get('x-content-type-options'), 'nosniff');
    t.equal(headers.get('x-frame-options'), 'DENY');
    t.equal(headers.get('referrer-policy'), 'no-referrer');
    t.equal(headers.get('cross-origin-opener-policy'), 'same-origin');
  }
});

t.test('files of a build are sent compressed, and are kept by the browser', async (t) => {
  const { url } = await serve(t, true);
  for (const [encoding, magic] of [
    ['br', null],
    ['gzip', null],
    ['identity', SCRIPT.length],
  ] as const) {
    const script = await get(`${url}/dashboard/assets/main-1a2b.js`, {
      'accept-encoding': encoding,
    });
    t.equal(script.headers.get('content-encoding'), encoding === 'identity' ? null : encoding);
    t.match(script.headers.get('content-type'), /javascript/);
    t.equal(script.headers.get('cache-control'), 'public, max-age=31536000, immutable');
    const length = Number(script.headers.get('content-length'));
    t.ok(magic === null ? length < 200 : length === magic, `${encoding}: ${length} bytes`);
    t.equal(await script.text(), SCRIPT);
  }
});

t.test('only files of the folder of assets are served', async (t) => {
  const { url } = await serve(t, true);
  for (const path of [
    '/dashboard/assets/none-1a2b.js',
    '/dashboard/assets/../secret.txt',
    '/dashboard/assets/%2e%2e/secret.txt',
    '/dashboard/assets/..%2fsecret.txt',
    '/dashboard/assets/',
  ]) {
    const { status, text } = await sendWith(url + path, 'GET', {});
    t.notOk(text.includes('not to be served'), path);
    t.not(status, 500, path);
  }
  const { status, text } = await sendWith(`${url}/dashboard/assets/none-1a2b.js`, 'GET', {});
  t.equal(status, 404);
  t.match(JSON.parse(text), { type: 'urn:posthorn:problem:not-found' });
});

t.test('without a build, the page says how to make it', async (t) => {
  const { url } = await serve(t, false);
  const page = await get(`${url}/`, BROWSER);
  t.equal(page.status, 503);
  t.equal(page.headers.get('content-type'), 'text/plain; charset=utf-8');
  t.match(await page.text(), 'npm run build:dashboard');
});

t.test(
  'the service needs no key for its pages, and visits from other sites are welcome',
  async (t) => {
    const env = { POSTHORN_ROLE: 'api', POSTHORN_ADMIN_KEY: 'an admin key of some length' };
    for (const posthorn of [
      await startTestService(t, env),
      await startTestService(t, { POSTHORN_ROLE: 'api' }),
    ]) {
      const visit = {
        'sec-fetch-site': 'cross-site',
        'sec-fetch-mode': 'navigate',
        'sec-fetch-dest': 'document',
      };
      for (const path of ['/', '/dashboard/webhooks']) {
        const { status, text } = await sendWith(posthorn.url + path, 'GET', {
          ...BROWSER,
          ...visit,
        });
        // Whether the pages are built here does not matter.
        t.ok(status === 200 || text.includes('build:dashboard'), `${path}: ${status} ${text}`);
      }
      t.equal((await sendWith(`${posthorn.url}/`, 'GET', { accept: '*/*' })).status, 404);
      t.equal((await sendWith(`${posthorn.url}/dashboard/`, 'POST', {})).status, 405);
    }
  },
);
