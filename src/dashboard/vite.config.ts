import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { defineConfig, type Plugin } from 'vite';

const OUTPUT = join(import.meta.dirname, '..', '..', 'dist', 'dashboard');

/** `npm run build:dashboard`: src/dashboard/ → dist/dashboard/, which the service serves (docs/dashboard.md). */
export default defineConfig({
  root: import.meta.dirname,
  base: '/dashboard/',
  oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
  build: {
    outDir: OUTPUT,
    emptyOutDir: true,
    rolldownOptions: {
      input: ['index.html', 'catalogue.html'].map((page) => join(import.meta.dirname, page)),
    },
    // A file that is part of the page as data: would need an exception in the Content-Security-Policy.
    assetsInlineLimit: 0,
    // All browsers that have `<dialog>` and CSS nesting preload modules by themselves.
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
  plugins: [compressOnce()],
});

/** Writes each file again as brotli and as gzip, so that the service compresses nothing. */
function compressOnce(): Plugin {
  let output = OUTPUT;
  return {
    name: 'compress-once',
    configResolved(config) {
      output = config.build.outDir;
    },
    closeBundle() {
      const files = readdirSync(output, { recursive: true, withFileTypes: true });
      for (const { parentPath, name } of files.filter((file) => file.isFile())) {
        const path = join(parentPath, name);
        const content = readFileSync(path);
        const params = { [constants.BROTLI_PARAM_SIZE_HINT]: content.length };
        writeFileSync(`${path}.br`, brotliCompressSync(content, { params }));
        writeFileSync(`${path}.gz`, gzipSync(content, { level: 9 }));
      }
    },
  };
}
