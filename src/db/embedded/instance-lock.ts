import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../../lib/errors.ts';

/**
 * Locks a data folder for this process, until it unlocks the folder or dies.
 *
 * The lock is a file, because a lock in the database is lost when the database crashes, and does not exist
 * at a first start. The file names its process; the file of a killed process is taken over.
 *
 * Synchronous, so that almost no time passes between a check and the action that depends on it.
 *
 * @returns a function that unlocks the folder, or undefined when another process holds the lock.
 */
export function lockFolder(dir: string): (() => void) | undefined {
  const path = join(dir, 'posthorn.lock');
  const mine = `${process.pid} ${birthOf(process.pid)}\n`;
  const draft = unique(path);
  // Written beside its place and linked there, so that no process ever reads half of it.
  writeFileSync(draft, mine, { flag: 'wx' });
  try {
    for (;;) {
      try {
        linkSync(draft, path);
        return () => {
          if (read(path) === mine) rmSync(path, { force: true });
        };
      } catch (error) {
        if (errorCode(error) !== 'EEXIST') throw error;
      }
      const holder = read(path);
      if (holder === undefined) continue;
      if (isAlive(holder)) return undefined;
      removeStale(path, holder);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes the lock file of a dead process, but not a newer one that replaced it since it was read. */
function removeStale(path: string, stale: string): void {
  const aside = unique(path);
  try {
    renameSync(path, aside);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return;
    throw error;
  }
  if (read(aside) !== stale) {
    try {
      linkSync(aside, path);
    } catch (error) {
      if (errorCode(error) !== 'EEXIST') throw error;
    }
  }
  rmSync(aside, { force: true });
}

function isAlive(holder: string): boolean {
  const [, pid, birth] = /^(\d+) (.*)\n$/.exec(holder) ?? [];
  if (pid === undefined) return false;
  try {
    process.kill(Number(pid), 0);
  } catch (error) {
    // EPERM: the process exists and belongs to another user.
    if (errorCode(error) !== 'EPERM') return false;
  }
  // Process ids are used again, above all after a restart of the machine or container.
  return birthOf(Number(pid)) === birth;
}

/** Returns the start time of a process, in no particular form; empty if it has ended or is unknown. */
function birthOf(pid: number): string {
  if (process.platform === 'linux') {
    const stat = readIfPossible(`/proc/${pid}/stat`);
    // The fields after the name, which may contain any character. The state is field 3, the start time field 22.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const boot = readIfPossible('/proc/sys/kernel/random/boot_id');
    return /^[ZX]?$/.test(fields[0] ?? '') ? '' : `${fields[19]} ${boot.trim()}`;
  }
  const { stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' });
  return (stdout ?? '').trim();
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

function readIfPossible(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function unique(path: string): string {
  return `${path}.${randomBytes(6).toString('hex')}`;
}
