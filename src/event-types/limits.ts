/** The most event types of a tenant, and the most webhooks of an imported document. */
export const MAX_EVENT_TYPES = 1000;
/** The most characters of a description, as for all descriptions in the API. */
export const MAX_DESCRIPTION_LENGTH = 1000;
/** The limit of a JSON Schema with all that it refers to. No smaller schema took more than 0.8 s to compile. */
export const MAX_SCHEMA_BYTES = 32 * 1024;
export const MAX_EXAMPLE_BYTES = 64 * 1024;
/** The limit of all schemas and examples of a tenant, which processes load at once, and of an import. */
export const MAX_TOTAL_BYTES = 8 * 1024 * 1024;
/** The most levels of a schema or an example. JSON.stringify and Postgres fail beyond some thousands. */
export const MAX_DEPTH = 256;

/**
 * Returns true if a JSON value has more than `most` levels of objects and arrays. It descends no deeper, so it
 * is safe for every value of JSON.parse.
 */
export function isDeeperThan(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (most === 0) return true;
  return Object.values(value).some((member) => isDeeperThan(member, most - 1));
}

/** Shortens a text for an error message. */
export function shortened(text: string, length = 300): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** Returns the reason of a thrown value, for the author of the schema or the data. */
export function reasonOf(error: unknown): string {
  if (error instanceof RangeError && error.message.includes('call stack'))
    return 'it is nested too deeply, or refers to itself without end';
  return shortened(error instanceof Error ? error.message : String(error));
}
