// The rooms of src/, and which of them may know which: docs/architecture.md has what is in each.
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, sep } from 'node:path';
import t from 'tap';

/** A room imports from the rooms behind it in this list, and from no other. */
const ROOMS = [
  'dashboard',
  'cli',
  'library',
  'app',
  'doctor',
  'api',
  'placement',
  'why',
  'metrics',
  'queue',
  'maintenance',
  'backlog',
  'pull',
  'sending',
  'bulk-operations',
  'archive',
  'history',
  'tenants',
  'watches',
  'intake',
  'event-types',
  'sessions',
  'keys',
  'config',
  'health',
  'subscriptions',
  'tracing',
  'deliveries',
  'concurrency',
  'http',
  'signing',
  'db',
  'lib',
];
/** Files of src/ itself: the first may import everything, the other is there for everybody. */
const [FIRST, LAST] = ['main.ts', 'version.ts'];

const SRC = join(import.meta.dirname, '..', 'src');
const roomOf = (file: string) => relative(SRC, file).split(sep)[0] as string;

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((file) => /\.tsx?$/.test(file) && statSync(file).isFile());
}

/** Returns the files of src/ that a file imports, for types too. */
function importsOf(file: string): string[] {
  const found = readFileSync(file, 'utf8').matchAll(/(?:from|import)\s*\(?\s*'(\.[^']+)'/g);
  return [...found].map(([, path = '']) => join(dirname(file), path));
}

const rank = (room: string) =>
  room === FIRST ? -1 : room === LAST ? ROOMS.length : ROOMS.indexOf(room);

t.test('every room is in the list', async (t) => {
  const rooms = readdirSync(SRC).filter((name) => name !== FIRST && name !== LAST);
  t.strictSame(rooms.toSorted(), ROOMS.toSorted());
});

t.test('rooms import only from rooms behind them, so there is no cycle', async (t) => {
  let seen = 0;
  for (const file of filesIn(SRC)) {
    for (const imported of importsOf(file)) {
      const [from, to] = [roomOf(file), roomOf(imported)];
      // tasks/ is what graphile-worker calls, and belongs to app/.
      if (from === to || to === '..') continue;
      seen += 1;
      if (rank(to) <= rank(from))
        t.fail(`${relative(SRC, file)} imports ${relative(SRC, imported)}, which comes before it`);
    }
  }
  t.ok(seen > 300, `${seen} imports between rooms`);
});

t.test('the dashboard runs in browsers, so it imports nothing of the service', async (t) => {
  const files = filesIn(join(SRC, 'dashboard'));
  t.ok(files.length > 20);
  const outside = files
    .flatMap((file) => importsOf(file).map((imported) => ({ file, imported })))
    .filter(({ imported }) => roomOf(imported) !== 'dashboard');
  t.strictSame(outside, []);
});
