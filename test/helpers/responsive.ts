import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import type { TestService } from './service.ts';

/** Far more than a request of its kind takes on a busy machine, and far less than what it guards against. */
export const PROMPT_MS = 2_000;

/**
 * Asks the service whether it lives, again and again, while something is done, at least 20 times, and holds
 * every answer to PROMPT_MS. Returns what was done.
 */
export async function staysResponsive<T>(
  t: Test,
  posthorn: TestService,
  what: string,
  work: () => Promise<T>,
): Promise<T> {
  let done = false;
  const working = work().finally(() => {
    done = true;
  });
  let slowestMs = 0;
  for (let asked = 0; asked < 20 || !done; asked += 1) {
    const start = performance.now();
    await posthorn.request('GET', '/healthz');
    slowestMs = Math.max(slowestMs, performance.now() - start);
    // Asking all the time would take more of the machine than the work.
    await sleep(5);
  }
  t.ok(slowestMs < PROMPT_MS, `${what}: the slowest of the others took ${slowestMs.toFixed(0)} ms`);
  return await working;
}
