import { readdirSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { brotliDecompressSync, gunzipSync } from 'node:zlib';
import t from 'tap';
import { build } from 'vite';

const ROOT = join(import.meta.dirname, '..', '..');

const output = await mkdtemp(join(tmpdir(), 'posthorn-dashboard-'));
t.teardown(() => rm(output, { recursive: true }));
await build({
  configFile: join(ROOT, 'src', 'dashboard', 'vite.config.ts'),
  logLevel: 'error',
  build: { outDir: output },
});
const names = readdirSync(join(output, 'assets'));
const sizeOf = (name: string) => statSync(join(output, 'assets', name)).size;

t.test('the script of the dashboard has under 100 kB, compressed', async (t) => {
  const scripts = names.filter((name) => name.endsWith('.js.gz'));
  t.ok(scripts.length > 0);
  const bytes = scripts.reduce((sum, name) => sum + sizeOf(name), 0);
  t.comment(`${bytes} bytes with gzip`);
  t.ok(bytes < 100_000, `${bytes} bytes`);
});

t.test('each file is there as brotli and gzip too, and they have its content', async (t) => {
  const files = names.filter((name) => !/\.(br|gz)$/.test(name));
  t.ok(files.length > 0);
  for (const name of files) {
    const content = (suffix: string) => readFileSync(join(output, 'assets', `${name}${suffix}`));
    t.ok(brotliDecompressSync(content('.br')).equals(content('')), `${name}.br`);
    t.ok(gunzipSync(content('.gz')).equals(content('')), `${name}.gz`);
  }
});

t.test(
  'the page has no script or style of its own, and names nothing from elsewhere',
  async (t) => {
    const page = readFileSync(join(output, 'index.html'), 'utf8');
    t.notMatch(page, /<script(?![^>]*\bsrc=)|<style|\bstyle=|\bon\w+=/i);
    const links = [...page.matchAll(/\b(?:src|href)="([^"]*)"/g)].map(([, url = '']) => url);
    t.ok(links.length >= 3);
    for (const url of links) t.match(url, /^\/dashboard\/assets\/[\w-]+\.\w+$/);
  },
);
