import { setTimeout as sleep } from 'node:timers/promises';

/** What closing connections may take. */
const END_MS = 1_000;

/**
 * Waits for connections to be closed, though not for ever: where packets are dropped, the last words
 * of a connection have no answer, and TCP alone would wait for a quarter of an hour.
 */
export async function endSoon(...endings: Promise<unknown>[]): Promise<void> {
  await Promise.race([Promise.all(endings), sleep(END_MS, undefined, { ref: false })]);
}
