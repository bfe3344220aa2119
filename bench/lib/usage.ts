import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** Clock ticks a second in /proc: 100 on every common Linux. */
const TICKS_PER_SECOND = 100;

/**
 * Returns the CPU seconds of a process and of its children that have ended. The time of a running process is
 * exact, because a tick is longer than the work for a webhook.
 */
function cpuSeconds(pid: number | string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    // Counted after the name, which may contain spaces: the first one here is field 3.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    const ended = (Number(fields[13]) + Number(fields[14])) / TICKS_PER_SECOND;
    return ended + nanosecondsOfThreads(pid) / 1e9;
  } catch {
    return 0;
  }
}

function nanosecondsOfThreads(pid: number | string): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => {
    try {
      const [ns] = readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'latin1').split(' ');
      return sum + Number(ns);
    } catch {
      // The thread has ended.
      return sum;
    }
  }, 0);
}

function parentOf(pid: string): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return 0;
  }
}

/** Returns a process and all its descendants that still run. */
export function processesOf(pid: number): number[] {
  const children = readdirSync('/proc').filter(
    (name) => /^\d+$/.test(name) && parentOf(name) === pid,
  );
  return [pid, ...children.map(Number)];
}

/** Returns the CPU seconds of a process and its descendants. (Postgres has a process for each connection.) */
export function cpuSecondsOfTree(pid: number): number {
  return processesOf(pid).reduce((sum, one) => sum + cpuSeconds(one), 0);
}

/** Starts a new measurement of a process's peak memory. */
export function resetPeakMemory(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

/** Returns the peak resident memory of a process since `resetPeakMemory`, in MiB. */
export function peakMemoryMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}

/** Returns the resident memory of a process now, in MiB. */
export function memoryMiB(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Math.round(Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024);
}
