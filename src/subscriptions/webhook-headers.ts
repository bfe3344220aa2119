// The headers that a sender gives to a webhook. SQL has the same rules: schema/functions/check_headers.sql.
import { NO_TEXT, TOKEN } from '../lib/http-syntax.ts';
import { isOwnHeader, MAX_FORWARDED_BYTES } from './ingest.ts';
import { PolicyError, readAs } from './policy.ts';

/**
 * Judges the headers that all deliveries of a webhook get. They are stored where those of a source are
 * (`forwardedOf`), so the same bounds and the same reserved names apply.
 *
 * @returns the headers by their names in lower case; null: there are none.
 * @throws PolicyError naming the header, what is wrong with it, and what would be right.
 */
export function webhookHeaders(
  given: Readonly<Record<string, string>>,
): Record<string, string> | null {
  const headers = new Map<string, string>();
  const seen = new Set<string>();
  let bytes = 0;
  for (const [name, value] of Object.entries(given)) {
    const normalized = readAs(name);
    const problem = problemOf(name, value, seen.has(normalized));
    if (problem !== null) throw new PolicyError(`headers.${name}`, problem);
    seen.add(normalized);
    bytes += name.length + value.length;
    headers.set(name.toLowerCase(), value);
  }
  if (bytes > MAX_FORWARDED_BYTES)
    throw new PolicyError(
      'headers',
      `have ${bytes} bytes; at most ${MAX_FORWARDED_BYTES} are allowed`,
    );
  return headers.size === 0 ? null : Object.fromEntries(headers);
}

function problemOf(name: string, value: string, isRepeated: boolean): string | null {
  if (!TOKEN.test(name)) return 'is not a header name; use letters, digits and -';
  if (isOwnHeader(name))
    return 'belongs to the connection, to the body, to Posthorn or to a proxy, or it has credentials; choose another name, such as X-Source';
  if (NO_TEXT.test(value))
    return 'has a value that is not allowed in a header; use printable characters up to U+00FF';
  return isRepeated ? 'is given twice, in spellings that receivers may read as one name' : null;
}
