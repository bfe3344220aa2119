import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** The variable by which the processes of a scenario are known; its value is the scenario's folder. */
const MARKER = 'CHAOS_FOLDER';
/** What was killed takes this long to be gone, on a busy machine. */
const GONE_MS = 30_000;

interface LeftOver {
  readonly pid: number;
  readonly command: string;
}

/** Marks all processes that are started from now on as those of a scenario. */
export function markProcesses(dir: string): void {
  process.env[MARKER] = dir;
}

/**
 * Ends all processes of a scenario that are still there, whoever started them: a wrapper such as `faketime` stays
 * between, and a killed service may leave its Postgres.
 *
 * @param dir the scenario's folder. Its processes have it in their environment, their command or as their folder.
 * @returns what had not ended by itself, for a report.
 */
export async function endLeftOvers(dir: string, goneMs = GONE_MS): Promise<string[]> {
  // What the scenario has killed may be on its way.
  const left = await waitUntilGone(dir, goneMs);
  for (const { pid } of left) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended.
    }
  }
  if (left.length > 0) await waitUntilGone(dir, GONE_MS);
  return left.map(({ pid, command }) => `${pid} ${command}`);
}

async function waitUntilGone(dir: string, goneMs: number): Promise<LeftOver[]> {
  const deadline = Date.now() + goneMs;
  let left = findLeftOvers(dir);
  while (left.length > 0 && Date.now() < deadline) {
    await sleep(50);
    left = findLeftOvers(dir);
  }
  return left;
}

function findLeftOvers(dir: string): LeftOver[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)
    .flatMap((name) => {
      const command = read(name, 'cmdline').replaceAll('\0', ' ').trim();
      // A zombie has no command.
      if (command === '' || !isOf(dir, name, command)) return [];
      return [{ pid: Number(name), command }];
    });
}

function isOf(dir: string, pid: string, command: string): boolean {
  if (command.includes(`${dir}/`)) return true;
  const marked = read(pid, 'environ')
    .split('\0')
    .some((entry) => isWithin(dir, entry.slice(MARKER.length + 1)) && entry.startsWith(MARKER));
  return marked || isWithin(dir, folderOf(pid));
}

const isWithin = (dir: string, path: string) => path === dir || path.startsWith(`${dir}/`);

function folderOf(pid: string): string {
  try {
    return readlinkSync(`/proc/${pid}/cwd`);
  } catch {
    return '';
  }
}

function read(pid: string, file: 'cmdline' | 'environ'): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'latin1');
  } catch {
    return '';
  }
}
