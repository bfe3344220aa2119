// Readers for the texts of settings. Each throws an Error that says what is wrong and what would be right.
import { availableParallelism } from 'node:os';
import { readConnectionString } from '../db/hosts.ts';
import { parseBytes } from '../lib/bytes.ts';
import { parseDuration } from '../lib/duration.ts';
import { nearest } from '../lib/nearest-name.ts';
import { EVENT_TYPE_PATTERN, MAX_PATTERN_LENGTH } from '../subscriptions/event-type-patterns.ts';

export function trimmed(text: string): string {
  return text.trim();
}

export function wholeNumber(min: number, max: number): (text: string) => number {
  return (text) => {
    const number = Number(text);
    if (!Number.isInteger(number) || number < min || number > max) {
      throw new Error(`"${text}" is not a whole number from ${min} to ${max}`);
    }
    return number;
  };
}

const MAX_PROCESSES = 64;

export function processCount(text: string): number {
  if (text === 'auto') return availableParallelism();
  const number = Number(text);
  if (Number.isInteger(number) && number >= 1 && number <= MAX_PROCESSES) return number;
  throw new Error(`"${text}" is not auto, and not a whole number from 1 to ${MAX_PROCESSES}`);
}

export function oneOf<const T extends string>(choices: readonly T[]): (text: string) => T {
  return (text) => {
    if (!choices.includes(text as T)) {
      const suggestion = nearest(text, choices);
      throw new Error(
        `"${text}" is none of ${choices.join(', ')}${suggestion ? `; did you mean ${suggestion}?` : ''}`,
      );
    }
    return text as T;
  };
}

export function durationBetween(
  minMs: number,
  maxMs: number,
  range: string,
): (text: string) => number {
  return (text) => {
    const durationMs = parseDuration(text);
    if (durationMs < minMs || durationMs > maxMs) throw new Error(`"${text}" is outside ${range}`);
    return durationMs;
  };
}

export function durationOrOff(
  minMs: number,
  maxMs: number,
  range: string,
): (text: string) => number | null {
  const read = durationBetween(minMs, maxMs, range);
  return (text) => {
    if (text.trim() === 'off') return null;
    try {
      return read(text);
    } catch (error) {
      throw new Error(`${(error as Error).message}, or off`);
    }
  };
}

export function bodyLimit(text: string): number {
  const bytes = parseBytes(text);
  const limit = 64 * 1024 * 1024;
  if (bytes < 1 || bytes > limit) throw new Error(`"${text}" is outside 1B to 64MiB`);
  return bytes;
}

/** Reads the URL of a database, which may name several hosts, and returns it as it is. */
export function postgresUrl(text: string): string {
  readConnectionString(text);
  return text;
}

/** Reads the URL of an origin, and returns it without a slash at its end. */
export function publicUrl(text: string): string {
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol) || `${url.origin}/` !== url.href)
    throw new Error(
      `"${text}" is not the URL of a host without a path, such as https://hooks.example.com`,
    );
  return url.origin;
}

/** Reads the URL of an OTLP receiver, and returns the URL to which traces are posted. */
export function otlpEndpoint(text: string): string {
  const url = URL.parse(text.trim());
  if (url === null || !/^https?:$/.test(url.protocol) || url.search !== '' || url.hash !== '')
    throw new Error(
      'it is not the URL of a collector, such as http://127.0.0.1:4318; /v1/traces is added to its path',
    );
  return `${url.href.replace(/\/$/, '')}/v1/traces`;
}

export function smtpUrl(text: string): string {
  const url = URL.parse(text.trim());
  if (url === null || !/^smtps?:$/.test(url.protocol) || url.hostname === '')
    throw new Error('it must look like smtp://user:password@host:587, or smtps://host');
  return url.href;
}

const MAIL_FROM = /^(?:[^<>\r\n"]*<[^\s<>@"]+@[^\s<>@"]+>|[^\s<>@"]+@[^\s<>@"]+)$/;

export function mailFrom(text: string): string {
  const from = text.trim();
  if (!MAIL_FROM.test(from))
    throw new Error(
      `"${from}" is not an address, such as posthorn@example.com or Posthorn <posthorn@example.com>`,
    );
  return from;
}

const HOST_NAME =
  /^(?:[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?$/;

/** Reads names of hosts, separated by commas, without ports, and returns them in lower case. */
export function hostNames(text: string): ReadonlySet<string> {
  const names = text
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => name !== '');
  for (const name of names) {
    if (!HOST_NAME.test(name))
      throw new Error(
        `"${name}" is not the name of a host; write names without ports, such as posthorn,hooks.internal`,
      );
  }
  return new Set(names);
}

const PATTERN = new RegExp(EVENT_TYPE_PATTERN);

/** Reads patterns of event types, separated by commas. */
export function eventTypePatterns(text: string): readonly string[] {
  const patterns = text.split(',').map((pattern) => pattern.trim());
  for (const pattern of patterns) {
    if (!PATTERN.test(pattern) || pattern.length > MAX_PATTERN_LENGTH)
      throw new Error(
        `"${pattern}" is not an event type; write types and prefixes with commas between them, such as order.*,invoice.paid, or * for all`,
      );
  }
  return patterns;
}

export function adminKey(text: string): string {
  // A secret that was read from a file ends with a newline, which no header could carry.
  const key = text.trim();
  if (key.length < 16) throw new Error('it must have at least 16 characters');
  if (!/^[ -~]+$/.test(key)) throw new Error('it may have only printable ASCII characters');
  return key;
}

export function homeName(text: string): string {
  const name = text.trim();
  if (!/^[a-z0-9][a-z0-9-]{0,39}$/.test(name))
    throw new Error(
      `"${name}" is not the name of a home; write up to 40 small letters, digits and -, such as db1`,
    );
  return name;
}
