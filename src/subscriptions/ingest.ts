// The content types other than JSON, and the headers, that a subscription takes from requests to /ingest.
import type { IncomingHttpHeaders } from 'node:http';
import { NO_TEXT, TOKEN } from '../lib/http-syntax.ts';
import type { VerifyScheme } from '../signing/verify/schemes.ts';
import { sourceOf } from '../signing/verify/sources.ts';
import { isReserved, PolicyError, readAs } from './policy.ts';

/** The fields of a subscription, as in the API and in the table. */
export interface IngestColumns {
  /** The headers of the source's request that deliveries get. Null: those of the source in `verify`. */
  readonly forward_headers: string[] | null;
  /** The content types that are taken besides JSON. Null: those of the source in `verify`. */
  readonly ingest_content_types: string[] | null;
}

export const MAX_FORWARDED = 20;
/** The most bytes of forwarded headers of a webhook, names and values. They are in memory while it is sent. */
export const MAX_FORWARDED_BYTES = 4096;

/** Headers that describe the body, or are Posthorn's own. */
const OWN_PREFIX = /^(?:content|webhook|proxy)-/;
/** Headers by which a request proves who it is, and the name of the software that sends it. */
const OWN = new Set(['authorization', 'cookie', 'set-cookie', 'user-agent']);

/**
 * Turns the given fields into columns.
 *
 * @throws PolicyError naming the field, what is wrong with it, and what would be right.
 */
export function ingestColumns(given: Partial<IngestColumns>): Partial<IngestColumns> {
  const columns: { -readonly [Name in keyof IngestColumns]?: IngestColumns[Name] } = {};
  const { forward_headers: names, ingest_content_types: types } = given;
  if (names !== undefined) {
    names?.forEach((name, index) => {
      const problem = forwardProblem(name);
      if (problem !== null) throw new PolicyError(`forward_headers.${index}`, problem);
    });
    columns.forward_headers = names;
  }
  if (types !== undefined) {
    types?.forEach((type, index) => {
      const problem = typeProblem(type);
      if (problem !== null) throw new PolicyError(`ingest_content_types.${index}`, problem);
    });
    columns.ingest_content_types = types;
  }
  return columns;
}

/** Returns true if the header belongs to the connection, the body, Posthorn or a proxy, or has credentials. */
export function isOwnHeader(name: string): boolean {
  const normalized = readAs(name);
  return isReserved(name) || OWN_PREFIX.test(normalized) || OWN.has(normalized);
}

/** Returns why a header of a source cannot be passed on, or null. */
function forwardProblem(name: string): string | null {
  if (!TOKEN.test(name)) return 'it is not a header name; use letters, digits and -';
  if (isOwnHeader(name))
    return 'it belongs to the connection, to the body, to Posthorn or to a proxy, or it has credentials; name headers that say what a webhook is about, such as X-Gitlab-Event';
  return null;
}

function typeProblem(type: string): string | null {
  const parts = type.split('/');
  if (parts.length === 2 && parts.every((part) => TOKEN.test(part) && part !== '*')) return null;
  return 'it is not a content type; give a type without parameters, such as text/plain';
}

/** The content types and headers that a subscription takes, in the form that the hot path needs. */
export interface Ingest {
  /** In lower case. */
  readonly forwardHeaders: readonly string[];
  /** In lower case. */
  readonly contentTypes: readonly string[];
}

/** Reads the columns. A row can be written by SQL too, so names that are refused are left out. */
export function readIngest(
  { forward_headers, ingest_content_types }: IngestColumns,
  scheme: VerifyScheme | undefined,
): Ingest {
  const source = sourceOf(scheme);
  const lower = (texts: readonly string[]) => [...new Set(texts.map((text) => text.toLowerCase()))];
  return {
    forwardHeaders: lower(forward_headers ?? source.headers)
      .filter((name) => forwardProblem(name) === null)
      .slice(0, MAX_FORWARDED),
    contentTypes: lower(ingest_content_types ?? source.contentTypes),
  };
}

/** Returns true if a content type, with or without parameters, is one of the given types. */
export function isContentType(header: string, types: readonly string[]): boolean {
  const [type = ''] = header.split(';');
  return types.includes(type.trim().toLowerCase());
}

/**
 * Returns the headers of a request that deliveries get, by their names in lower case; null: there are none.
 *
 * @throws PolicyError for headers that cannot be sent again.
 */
export function forwardedOf(
  headers: IncomingHttpHeaders,
  names: readonly string[],
): Record<string, string> | null {
  let bytes = 0;
  const found: [name: string, value: string][] = [];
  for (const name of names) {
    const value = headers[name];
    if (value === undefined) continue;
    const text = typeof value === 'string' ? value : value.join(', ');
    if (NO_TEXT.test(text))
      throw new PolicyError(
        `headers.${name}`,
        'has a control character, so it cannot be passed on to the receiver',
      );
    bytes += name.length + text.length;
    found.push([name, text]);
  }
  if (bytes > MAX_FORWARDED_BYTES)
    throw new PolicyError(
      'headers',
      `to pass on to the receiver (forward_headers) have ${bytes} bytes; at most ${MAX_FORWARDED_BYTES} are allowed`,
    );
  return found.length === 0 ? null : Object.fromEntries(found);
}
