import { isObject } from '../lib/objects.ts';
import { MAX_DEPTH, MAX_SCHEMA_BYTES } from './limits.ts';
import {
  type Json,
  OpenApiError,
  referredTo,
  requireShort,
  unescapePointer,
} from './openapi-references.ts';

/** Keywords whose values are data, in which a member `$ref` is not a reference. */
const DATA_KEYWORDS = new Set(['const', 'enum', 'default', 'example', 'examples']);
/** Keywords whose values map names, which the author chose, to schemas. */
const NAMING_KEYWORDS = new Set([
  'properties',
  'patternProperties',
  'dependentSchemas',
  '$defs',
  'definitions',
]);
const COMPONENT = /^#\/components\/schemas\/([^/]+)(.*)$/s;

type Inside = 'schema' | 'names' | 'data';

/**
 * Returns the JSON text of a schema with everything that it refers to in `$defs`. Bytes are counted before they
 * are copied, and each component is copied once, however components refer to each other.
 *
 * @throws OpenApiError
 */
export function bundledSchema(document: Json, schema: Json, place: string): string {
  const definitions = new Map<string, unknown>();
  const pending: string[] = [];
  let bytes = 0;

  function count(more: number): void {
    bytes += more;
    if (bytes > MAX_SCHEMA_BYTES)
      throw new OpenApiError(
        place,
        `has a schema of more than ${MAX_SCHEMA_BYTES} bytes with everything that it refers to; at most ${MAX_SCHEMA_BYTES} are allowed`,
      );
  }

  function copy(value: unknown, inside: Inside, depth = 0): unknown {
    if (typeof value !== 'object' || value === null) {
      count(typeof value === 'string' ? value.length + 2 : 1);
      return value;
    }
    if (depth === MAX_DEPTH)
      throw new OpenApiError(
        place,
        `has a schema that is nested too deeply; at most ${MAX_DEPTH} levels are allowed`,
      );
    count(2);
    if (Array.isArray(value)) return value.map((element) => copy(element, inside, depth + 1));
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => {
        count(name.length + 3);
        if (inside === 'schema' && name === '$ref' && typeof member === 'string')
          return [name, copy(moved(member), 'data', depth + 1)];
        return [name, copy(member, insideOf(name, inside), depth + 1)];
      }),
    );
  }

  function moved(reference: string): string {
    requireShort(reference, place);
    const [, part, rest] = COMPONENT.exec(reference) ?? [];
    if (part === undefined) return reference;
    const name = unescapePointer(part);
    if (!definitions.has(name)) {
      // Its place; it may refer to itself.
      definitions.set(name, true);
      pending.push(part);
    }
    return `#/$defs/${part}${rest}`;
  }

  const whole = copy(schema, 'schema') as Json;
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    const name = unescapePointer(part);
    count(name.length + 3);
    const component = referredTo(document, `#/components/schemas/${part}`, place);
    definitions.set(name, copy(component, 'schema'));
  }
  if (definitions.size > 0) {
    const own = isObject(whole.$defs) ? Object.entries(whole.$defs) : [];
    whole.$defs = Object.fromEntries([...own, ...definitions]);
  }
  const text = JSON.stringify(whole);
  bytes = 0;
  count(Buffer.byteLength(text));
  return text;
}

function insideOf(name: string, inside: Inside): Inside {
  if (inside !== 'schema') return inside === 'names' ? 'schema' : 'data';
  if (DATA_KEYWORDS.has(name)) return 'data';
  return NAMING_KEYWORDS.has(name) ? 'names' : 'schema';
}
