import { cpSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');

/**
 * Copies the sources to a folder, with the migrations up to a number and no later ones, so that
 * `migrate` there leaves a database as an older version did.
 */
export function copyVersion(to: string, newestMigration = Number.POSITIVE_INFINITY): void {
  for (const part of ['src', 'tasks', 'migrations', 'schema', 'package.json'])
    cpSync(join(ROOT, part), join(to, part), { recursive: true });
  symlinkSync(join(ROOT, 'node_modules'), join(to, 'node_modules'));
  for (const file of readdirSync(join(to, 'migrations')))
    if (Number(file.slice(0, 4)) > newestMigration) rmSync(join(to, 'migrations', file));
}
