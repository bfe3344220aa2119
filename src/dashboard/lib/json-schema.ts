/** An object of JSON. */
export type Json = Readonly<Record<string, unknown>>;

/** A schema that was found, with what its references are relative to. */
export interface Found {
  /** True: anything; false: nothing. */
  readonly schema: Json | boolean;
  readonly root: unknown;
  /** The same for every reference to one schema. */
  readonly identity: unknown;
}

/** More references in a row lead nowhere. */
const MAX_HOPS = 20;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/**
 * Returns a JSON Schema with its reference followed (`#/$defs/money`). What stands beside the reference counts before
 * what it leads to. A reference that leads nowhere allows anything.
 */
export function follow(schema: unknown, root: unknown): Found {
  let target = schema;
  let base = root;
  let beside: Json = {};
  for (let hops = 0; hops < MAX_HOPS; hops += 1) {
    if (!isJson(target)) break;
    if (typeof target.$id === 'string') base = target;
    const { $ref, ...rest } = target;
    if (typeof $ref !== 'string')
      return { schema: { ...target, ...beside }, root: base, identity: target };
    beside = { ...rest, ...beside };
    target = pointedAt($ref, base);
  }
  return { schema: target === false ? false : { ...beside }, root: base, identity: target };
}

/** Returns what a JSON pointer (RFC 6901) in a fragment leads to; undefined: nothing. */
function pointedAt(reference: string, root: unknown): unknown {
  if (!reference.startsWith('#')) return undefined;
  let found = root;
  for (const part of reference.slice(1).split('/').slice(1)) {
    const name = decoded(part).replaceAll('~1', '/').replaceAll('~0', '~');
    if (typeof found !== 'object' || found === null || !Object.hasOwn(found, name))
      return undefined;
    found = (found as Json)[name];
  }
  return found;
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
