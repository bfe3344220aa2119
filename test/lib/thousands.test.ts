import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import t from 'tap';
import { withThousands } from '../../src/lib/thousands.ts';

const ROOT = join(import.meta.dirname, '..', '..');

t.test('a whole number is written as in English', async () => {
  fc.assert(
    fc.property(
      fc.maxSafeInteger(),
      (number) => withThousands(number) === number.toLocaleString('en'),
    ),
    { examples: [[0], [999], [1_000], [-100], [-1_000], [1_234_567]] },
  );
});

t.test('nothing that a service runs loads the data of locales', async (t) => {
  const files = globSync('{src,tasks}/**/*.ts', { cwd: ROOT }).filter(
    (file) => !file.startsWith('src/dashboard/'),
  );
  const localised = files.filter((file) =>
    /\.toLocale\w*\(|\blocaleCompare\(|\bIntl\./.test(readFileSync(join(ROOT, file), 'utf8')),
  );
  t.strictSame(localised, []);
});
