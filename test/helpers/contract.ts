import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Test } from 'tap';

const require = createRequire(import.meta.url);

/** An inside of a package that we rely on. */
export interface Internal {
  /** The package that has it. */
  readonly of: 'pg' | 'pg-pool' | 'pg-protocol' | 'undici' | 'graphile-worker' | 'node';
  /** What we rely on, as a sentence without its full stop. */
  readonly that: string;
  /** The file that relies on it. */
  readonly usedBy: string;
  /** Fails, with an error, if it is not so. */
  check(): unknown;
}

/** Tests each, so that a failure names the inside, the installed version, and the file that must change. */
export function testInternals(t: Test, internals: readonly Internal[]): void {
  for (const { of, that, usedBy, check } of internals)
    t.test(`${of}: ${that}`, async (t) => {
      try {
        await check();
        t.pass(`${usedBy} relies on it`);
      } catch (error) {
        t.fail(
          `${of} ${versionOf(of)} is not as ${usedBy} needs it. That ${that} no longer holds: ${(error as Error).message}`,
        );
      }
    });
}

function versionOf(name: Internal['of']): string {
  if (name === 'node') return process.versions.node;
  // pg-pool and pg-protocol come with pg.
  const from = name.startsWith('pg-') ? createRequire(require.resolve('pg')) : require;
  const entry = from.resolve(name);
  const folder = entry.slice(0, entry.lastIndexOf(`/${name}/`) + name.length + 1);
  const { version } = JSON.parse(readFileSync(`${folder}/package.json`, 'utf8')) as {
    version: string;
  };
  return version;
}
