import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';

const INSTALL_MS = 240_000;

/**
 * Returns whether programs are here. Where they are not, and the tests run as root on Debian, as in CI, packages of
 * Debian are installed that have them.
 */
export function hasPrograms(paths: readonly string[], packages: readonly string[]): boolean {
  const areHere = () => paths.every((path) => existsSync(path));
  if (!areHere() && process.getuid?.() === 0) {
    try {
      const args = ['install', '--yes', '--no-install-recommends', ...packages];
      execFileSync('apt-get', args, { timeout: INSTALL_MS, stdio: 'ignore' });
    } catch {
      // There is no apt-get, no network, or no list of packages.
    }
  }
  return areHere();
}
