import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../../lib/errors.ts';

/**
 * Takes a data folder for this process, until it releases it or dies.
 *
 * In a file, since a lock in the database is lost with the database's first crash, and there is none
 * yet at a first start. The file says which process it is of; a killed one's is taken over.
 *
 * Synchronous, so that next to nothing can happen between a look and what follows from it.
 *
 * @returns what releases it, or undefined when another process has the folder.
 */
export function lockFolder(dir: string): (() => void) | undefined {
  const path = join(dir, 'posthorn.lock');
  const mine = `${process.pid} ${birthOf(process.pid)}\n`;
  const draft = unique(path);
  // Written beside its place and linked there, so that nobody ever reads half of it.
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
      const theirs = read(path);
      if (theirs === undefined) continue;
      if (isAlive(theirs)) return undefined;
      removeStale(path, theirs);
    }
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Takes a dead process's file away, and no other that has come in its place since it was read. */
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
    // EPERM: it is there, and another user's.
    if (errorCode(error) !== 'EPERM') return false;
  }
  // Numbers of processes come again, after a restart of the machine or of a container above all.
  return birthOf(Number(pid)) === birth;
}

/** When a process began, in no particular form; empty when it has ended or nobody can tell. */
function birthOf(pid: number): string {
  if (process.platform === 'linux') {
    const stat = readIfPossible(`/proc/${pid}/stat`);
    // After the name, which may hold anything: the state is the third field, the start the 22nd.
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
