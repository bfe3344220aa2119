/** Event types that a tenant may have, and webhooks that an imported document may have. */
export const MAX_EVENT_TYPES = 1000;
/** Characters of a description, as of every description in the API. */
export const MAX_DESCRIPTION_LENGTH = 1000;
/** A JSON Schema as JSON, with all that it refers to. Within it no schema took longer than 0.8 s to compile, or it overflowed the stack. */
export const MAX_SCHEMA_BYTES = 32 * 1024;
export const MAX_EXAMPLE_BYTES = 64 * 1024;
/** All schemas and examples of a tenant, which its processes load at once; and those of one import. */
export const MAX_TOTAL_BYTES = 8 * 1024 * 1024;
/** Levels of objects and arrays in a schema or an example. JSON.stringify and Postgres fail from some thousands on. */
export const MAX_DEPTH = 256;

/**
 * Whether a JSON value has more than `most` levels of objects and arrays. It descends no deeper than
 * that, so it is safe for what JSON.parse returns.
 */
export function isDeeperThan(value: unknown, most: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (most === 0) return true;
  return Object.values(value).some((member) => isDeeperThan(member, most - 1));
}

/** A text for an error, not longer than people read. */
export function shortened(text: string, length = 300): string {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}

/** Why something failed that was thrown, for whoever wrote the schema or the data. */
export function reasonOf(error: unknown): string {
  if (error instanceof RangeError && error.message.includes('call stack'))
    return 'it is nested too deeply, or refers to itself without end';
  return shortened(error instanceof Error ? error.message : String(error));
}
