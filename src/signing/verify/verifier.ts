import type { IncomingHttpHeaders } from 'node:http';

/** Verifies that a webhook handed in comes from its source. */
export interface Verifier {
  /**
   * Returns null if the signature is valid, and otherwise why not: a sentence that names the header and does
   * not reveal the right value. Compares in constant time.
   *
   * @param body the received bytes.
   */
  check(headers: IncomingHttpHeaders, body: Buffer, nowMs: number): string | null;
  /**
   * Returns the answer to a request that is a challenge and not a webhook, or null.
   *
   * @param value the parsed body.
   */
  challenge?(value: unknown): string | null;
}

/** The most that the sender's clock may differ, or a repeated request may be late. */
const TOLERANCE_MS = 5 * 60_000;

/** Returns a header that was sent once; null if it is missing or was sent several times. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name.toLowerCase()];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** Returns why the seconds in a header are not acceptable, or null. */
export function judgeTimestamp(text: string, nowMs: number, header: string): string | null {
  if (!/^\d{1,12}$/.test(text)) return `${header} has no timestamp in seconds since 1970.`;
  const offMs = nowMs - Number(text) * 1000;
  if (Math.abs(offMs) <= TOLERANCE_MS) return null;
  return `${header} has a timestamp that is ${offMs > 0 ? 'older than five minutes' : 'more than five minutes ahead'}; an old request is not taken again. If it is new, see to the clocks.`;
}
