import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Skipped } from './scenario.ts';

const DEBIAN = '/usr/lib/postgresql';

/**
 * Where the programs of Debian's newest Postgres are: the embedded one has none but the server.
 *
 * @throws Skipped when it is not installed, or lacks one of these.
 */
export function findDebianPostgres(...programs: string[]): string {
  const versions = existsSync(DEBIAN) ? readdirSync(DEBIAN).map(Number) : [];
  const newest = Math.max(...versions.filter((version) => version >= 15));
  const binDir = join(DEBIAN, String(newest), 'bin');
  if (['postgres', ...programs].every((program) => existsSync(join(binDir, program))))
    return binDir;
  throw new Skipped(`apt-get install postgresql: this needs its ${programs.join(', ')}`);
}
