import type { IncomingHttpHeaders } from 'node:http';

/** Tells whether what is handed in comes from whom it should. */
export interface Verifier {
  /**
   * Null when the request proves who sent it, and otherwise why not: a sentence that names the header,
   * and says nothing of what would have been right. Compares in constant time.
   *
   * @param body the bytes as they came.
   */
  check(headers: IncomingHttpHeaders, body: Buffer, nowMs: number): string | null;
  /**
   * What to answer to a request that only asks whether anybody is here, and is no webhook.
   *
   * @param value the body, parsed.
   */
  challenge?(value: unknown): string | null;
}

/** How far the sender's clock may be off, and how late a request may come to be sent once more. */
export const TOLERANCE_MS = 5 * 60_000;

/** A header that came once; null when it did not, or came several times as a list. */
export function headerOf(headers: IncomingHttpHeaders, name: string): string | null {
  const value = headers[name.toLowerCase()];
  return typeof value === 'string' && value !== '' ? value : null;
}

/** The moment that a header's seconds mean, as why it cannot be taken; null when it can. */
export function judgeTimestamp(text: string, nowMs: number, header: string): string | null {
  if (!/^\d{1,12}$/.test(text)) return `${header} has no timestamp in seconds since 1970.`;
  const offMs = nowMs - Number(text) * 1000;
  if (Math.abs(offMs) <= TOLERANCE_MS) return null;
  return `${header} has a timestamp that is ${offMs > 0 ? 'older than five minutes' : 'more than five minutes ahead'}; an old request is not taken again. If it is new, see to the clocks.`;
}
