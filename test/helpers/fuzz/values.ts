import fc, { type Arbitrary } from 'fast-check';
import { type OpenApi, resolve, type Schema } from '../openapi.ts';
import type { Pool } from './pool.ts';

/** Values that fit a schema of the document: with the ids of things that exist, where it has such. */
export function createValues(document: OpenApi, pool: Pool) {
  function valid(given: Schema, name = ''): Arbitrary<unknown> {
    const schema = resolve(document, given);
    const made = byKeywords(schema, name);
    const choices = [{ weight: 3, arbitrary: made }];
    const examples: unknown[] = schema.examples ?? (schema.example ? [schema.example] : []);
    if (examples.length > 0 && name !== 'url')
      choices.push({ weight: 5, arbitrary: fc.constantFrom(...examples) });
    if (pool.has(name))
      choices.push({ weight: 6, arbitrary: fc.nat().map((at) => pool.pick(name, at)) });
    return fc.oneof(...choices);
  }

  function byKeywords(schema: Schema, name: string): Arbitrary<unknown> {
    if ('const' in schema) return fc.constant(schema.const);
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
    const variants: Schema[] | undefined = schema.anyOf ?? schema.oneOf;
    if (variants !== undefined) return fc.oneof(...variants.map((one) => valid(one, name)));
    const types: string[] = [schema.type ?? []].flat();
    if (types.length === 0) return schema.properties === undefined ? anything : object(schema);
    return fc.oneof(...types.map((type) => byType(type, schema, name)));
  }

  function byType(type: string, schema: Schema, name: string): Arbitrary<unknown> {
    switch (type) {
      case 'string':
        return text(schema);
      case 'integer':
        return fc.oneof(
          fc.integer({ min: schema.minimum ?? -10, max: Math.min(schema.maximum ?? 100, 100) }),
          fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? 2_147_483_647),
        );
      case 'number':
        return fc.double({ min: schema.minimum ?? -1e6, max: schema.maximum ?? 1e6, noNaN: true });
      case 'boolean':
        return fc.boolean();
      case 'null':
        return fc.constant(null);
      case 'array': {
        const minLength: number = schema.minItems ?? 0;
        const maxLength = Math.max(minLength, Math.min(schema.maxItems ?? 4, 4));
        return fc.array(valid(schema.items ?? {}, singular(name)), { minLength, maxLength });
      }
      case 'object':
        return object(schema);
      default:
        throw new Error(`There is no type ${type}`);
    }
  }

  function object(schema: Schema): Arbitrary<unknown> {
    const properties = Object.entries<Schema>(schema.properties ?? {});
    const required: string[] = schema.required ?? [];
    const known = fc.record(
      Object.fromEntries(properties.map(([name, one]) => [name, valid(one, name)])),
      { requiredKeys: required },
    );
    const [[pattern, values] = []] = Object.entries<Schema>(schema.patternProperties ?? {});
    if (pattern !== undefined && values !== undefined)
      return fc.dictionary(matching(pattern), valid(values), { maxKeys: 4 });
    const { propertyNames = {}, additionalProperties } = schema;
    if (typeof additionalProperties === 'object')
      return fc.dictionary(text(propertyNames), valid(additionalProperties), { maxKeys: 4 });
    return known;
  }

  return { valid };
}

export const anything = fc.jsonValue({ maxDepth: 3 }) as Arbitrary<unknown>;

function text(schema: Schema): Arbitrary<string> {
  const { minLength = 0, maxLength = 50, format, pattern } = schema;
  if (format === 'uuid') return fc.uuid();
  if (format === 'date-time')
    return fc.date({ noInvalidDate: true, min: new Date(0), max: new Date('2100') }).map(iso);
  const made =
    pattern === undefined
      ? fc.string({ minLength, maxLength: Math.min(maxLength, 50), unit: 'binary' })
      : matching(pattern);
  return made.filter((one) => one.length >= minLength && one.length <= maxLength);
}

function iso(date: Date): string {
  return date.toISOString();
}

/** Strings that match. What fast-check cannot read, it cannot make either: words then. */
function matching(pattern: string): Arbitrary<string> {
  try {
    return fc.stringMatching(new RegExp(pattern), { size: 'small' });
  } catch {
    return fc.stringMatching(/^[a-z]{1,8}(\.[a-z]{1,8})?$/).filter((one) => {
      return new RegExp(pattern).test(one);
    });
  }
}

/** `webhook_ids` are of `webhook_id`s. */
function singular(name: string): string {
  return name.replace(/s$/, '');
}
