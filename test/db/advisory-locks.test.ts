import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import {
  INSTANCE_LOCK,
  LOCK_SPACE,
  LOCKS,
  MIGRATION_LOCK,
  TAKING_SPACE,
} from '../../src/db/advisory-locks.ts';

const ROOT = join(import.meta.dirname, '..', '..');

/** The arguments of each call of an advisory lock function, with the file it is in. */
function callsIn(folder: string, extension: string): { file: string; keys: string }[] {
  return readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith(extension))
    .flatMap((name) =>
      [
        ...readFileSync(join(ROOT, folder, name), 'utf8').matchAll(
          /pg_(?:try_)?advisory_(?:xact_)?lock(?:_shared)?\((.*)\)/g,
        ),
      ].map(([, keys = '']) => ({ file: `${folder}/${name}`, keys })),
    );
}

t.test('no two advisory locks have the same keys', async (t) => {
  const keys = [...Object.values(LOCKS), String(MIGRATION_LOCK), String(INSTANCE_LOCK)];
  t.equal(new Set(keys).size, keys.length);
  t.not(TAKING_SPACE, LOCK_SPACE);
  for (const key of Object.values(LOCKS)) t.match(key, new RegExp(`^${LOCK_SPACE}, (0|-\\d+)$`));
});

t.test('every advisory lock is one of the list', async (t) => {
  const inCode = callsIn('src', '.ts');
  t.ok(inCode.length >= 8);
  for (const { file, keys } of inCode)
    t.match(
      keys,
      /^(\$\{(LOCKS?[._]|MIGRATION_LOCK\}|TAKING_SPACE\},)|\$1|hashtextextended\(.*, \$\{LOCK_SPACE\}\)$)/,
      file,
    );
  const inSql = callsIn('schema/functions', '.sql');
  t.ok(inSql.length >= 3);
  for (const { file, keys } of inSql)
    t.ok(
      Object.values<string>(LOCKS).includes(keys) ||
        keys.includes(`, ${LOCK_SPACE})`) ||
        keys.startsWith(`${TAKING_SPACE}, `),
      `${file}: ${keys}`,
    );
});
