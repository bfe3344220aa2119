// Which files `npm test` runs, and what it makes of one that fails, with files that need no Postgres.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';

const ROOT = join(import.meta.dirname, '..');
/** The same plugins: with others, tap would build itself anew. */
const PLUGINS = /^plugin:\n(?: .*\n)+/m.exec(readFileSync(join(ROOT, '.taprc'), 'utf8'))?.[0];

const GOOD = "console.log('TAP version 14\\nok 1 - fine\\n1..1');";
const BAD = "console.log('TAP version 14\\nnot ok 1 - it fails\\n1..1');";
/** Fails if it has not run before. */
const RARE = `
import { existsSync, writeFileSync } from 'node:fs';
if (existsSync('ran')) ${GOOD}
else {
  writeFileSync('ran', '');
  ${BAD}
}`;

function runAll(
  t: Test,
  files: Record<string, string | Record<string, string>>,
  args: readonly string[] = [],
) {
  const folder = t.testdir({
    '.taprc': `${PLUGINS}disable-coverage: true\nallow-empty-coverage: true\nreporter: tap\ninclude:\n  - '*.js'\n`,
    'package.json': '{"type":"module"}',
    ...files,
  });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const { status, stdout } = spawnSync(process.execPath, [join(ROOT, 'test/all.ts'), ...args], {
    cwd: folder,
    encoding: 'utf8',
    env: { PATH: process.env.PATH },
  });
  return { status, stdout };
}

t.test('a file that fails once and passes by itself is named, with its failure', (t) => {
  const { status, stdout } = runAll(t, { 'good.js': GOOD, 'rare.js': RARE });
  t.equal(status, 0, 'exit code');
  t.match(stdout, 'it fails');
  t.match(stdout, '\nFailed once, and passed alone: rare.js.');
  t.end();
});

t.test('a file that fails twice fails the run', (t) => {
  const { status, stdout } = runAll(t, { 'good.js': GOOD, 'rare.js': RARE, 'bad.js': BAD });
  t.equal(status, 1, 'exit code');
  t.match(stdout, /Failed twice: at least one of (rare.js, bad.js|bad.js, rare.js)\./);
  t.end();
});

t.test('many files that fail are not run again', (t) => {
  const files = { 'a.js': BAD, 'b.js': BAD, 'c.js': BAD, 'rare.js': RARE };
  const { status, stdout } = runAll(t, files);
  t.equal(status, 1, 'exit code');
  t.notMatch(stdout, 'once more');
  t.end();
});

t.test('a run without a failure says nothing more', (t) => {
  const { status, stdout } = runAll(t, { 'good.js': GOOD });
  t.equal(status, 0, 'exit code');
  t.notMatch(stdout, 'Failed');
  t.end();
});

t.test('slow files run only by --slow or by name, and a run says that it left them out', (t) => {
  const files = { 'quick.js': GOOD, 'slow.js': BAD, test: { 'slow.txt': 'slow.js\n' } };
  const quick = runAll(t, files);
  t.equal(quick.status, 0, 'exit code');
  t.match(quick.stdout, '1 slow files did not run: npm run test:slow runs them.');

  const slow = runAll(t, files, ['--slow']);
  t.equal(slow.status, 1, 'exit code');
  t.notMatch(slow.stdout, 'quick.js');

  const named = runAll(t, files, ['slow.js']);
  t.equal(named.status, 1, 'exit code');
  t.notMatch(named.stdout, 'quick.js');
  t.end();
});

t.test('each file that is listed as slow exists', (t) => {
  const names = readFileSync(join(ROOT, 'test/slow.txt'), 'utf8').trimEnd().split('\n');
  t.strictSame(
    names.filter((name) => !existsSync(join(ROOT, name))),
    [],
  );
  t.strictSame(names, [...new Set(names)].sort());
  t.end();
});
