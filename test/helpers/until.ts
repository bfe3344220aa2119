import { setTimeout as sleep } from 'node:timers/promises';

/**
 * Within this, what one process is told by another has reached it, which takes milliseconds where
 * nothing else runs. What it would have to find out by itself takes 15 seconds or longer.
 */
export const TOLD_MS = 12_000;

/**
 * Long enough for a machine that is 20 times too busy. A test that must tell a quick way from a slow one, such as
 * a notification from a sweep, gives a shorter time: `TOLD_MS`.
 */
export const PATIENCE_MS = 180_000;

/**
 * Waits until `condition` gives something truthy and returns it. Errors count as "not yet".
 *
 * @throws Error naming what was waited for, with the last error or value, after `timeoutMs`.
 */
export async function until<T>(
  what: string,
  condition: () => Promise<T | false | null | undefined> | T | false | null | undefined,
  timeoutMs = PATIENCE_MS,
): Promise<T> {
  const startedAt = Date.now();
  const deadline = startedAt + timeoutMs;
  let last: unknown;
  do {
    try {
      const value = await condition();
      if (value) return value;
      last = value;
    } catch (error) {
      last = error;
    }
    await sleep(pauseAfter(Date.now() - startedAt));
  } while (Date.now() < deadline);
  throw new Error(`Waited ${timeoutMs} ms in vain until ${what}; last: ${String(last)}`);
}

/** Longer for what takes long: asking the service 66 times a second costs more than most of what is waited for. */
function pauseAfter(waitedMs: number): number {
  return Math.min(Math.max(15, waitedMs / 20), 250);
}
