import { setTimeout as sleep } from 'node:timers/promises';

/** The longest time that closing connections may take. */
const END_MS = 1_000;

/**
 * Waits until connections are closed, but at most 1 s. If packets are dropped, closing a connection gets no
 * answer, and TCP alone would wait for a quarter of an hour.
 */
export async function endSoon(...endings: (Promise<unknown> | undefined)[]): Promise<void> {
  await Promise.race([Promise.all(endings), sleep(END_MS, undefined, { ref: false })]);
}
