import { countOf } from './format.ts';
import { follow, isJson, type Json } from './json-schema.ts';

const MAX_TEXT = 60;
const MAX_CHOICES = 12;
/** Deeper types are `anything`. */
const MAX_LEVEL = 2;

/** Returns what the values of a schema are, such as `array of string (date-time)`. */
export function typeInWords(schema: unknown, root: unknown, level = 0): string {
  const { schema: found, root: base } = follow(schema, root);
  if (found === false) return 'nothing';
  if (found === true || level > MAX_LEVEL) return 'anything';
  if (Object.hasOwn(found, 'const')) return `always ${shortJson(found.const)}`;
  const types = [found.type].flat().filter((type) => typeof type === 'string');
  if (types.length > 0)
    return types.map((type) => nameOfType(type, found, base, level)).join(' or ');
  if (Array.isArray(found.enum)) return inWords(found.enum.map(typeOfValue));
  if (isJson(found.properties)) return 'object';
  if (found.items !== undefined || found.prefixItems !== undefined)
    return nameOfType('array', found, base, level);
  const choices = [found.anyOf ?? found.oneOf ?? []].flat().slice(0, MAX_CHOICES);
  const words = choices.map((choice) => typeInWords(choice, base, level + 1));
  if (words.length > 0) return inWords(words);
  const all = [found.allOf ?? []]
    .flat()
    .slice(0, MAX_CHOICES)
    .map((part) => typeInWords(part, base, level + 1));
  return all.find((word) => word !== 'anything') ?? 'anything';
}

function nameOfType(type: string, schema: Json, root: unknown, level: number): string {
  if (type === 'array' && schema.items !== undefined)
    return `array of ${typeInWords(schema.items, root, level + 1)}`;
  if (type === 'string' && typeof schema.format === 'string') return `string (${schema.format})`;
  return type;
}

const inWords = (words: readonly string[]) => [...new Set(words)].join(' or ');

function typeOfValue(value: unknown): string {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : typeof value;
}

/** A rule of a schema, if its keyword has a value of the right type. */
const RULES: readonly [keyword: string, say: (value: number) => string][] = [
  ['minimum', (n) => `at least ${n}`],
  ['exclusiveMinimum', (n) => `more than ${n}`],
  ['maximum', (n) => `at most ${n}`],
  ['exclusiveMaximum', (n) => `less than ${n}`],
  ['multipleOf', (n) => `a multiple of ${n}`],
  ['minLength', (n) => `at least ${countOf(n, 'character', 'characters')}`],
  ['maxLength', (n) => `at most ${countOf(n, 'character', 'characters')}`],
  ['minItems', (n) => `at least ${countOf(n, 'item', 'items')}`],
  ['maxItems', (n) => `at most ${countOf(n, 'item', 'items')}`],
  ['minProperties', (n) => `at least ${countOf(n, 'field', 'fields')}`],
  ['maxProperties', (n) => `at most ${countOf(n, 'field', 'fields')}`],
];

/** Returns what else the values of a schema must be, each rule in a few words. */
export function rulesInWords(schema: Json): string[] {
  const said: string[] = [];
  if (Array.isArray(schema.enum)) {
    const choices = schema.enum.slice(0, MAX_CHOICES).map(shortJson);
    said.push(`one of ${choices.join(', ')}${schema.enum.length > MAX_CHOICES ? ', …' : ''}`);
  }
  for (const [keyword, say] of RULES) {
    const value = schema[keyword];
    if (typeof value === 'number') said.push(say(value));
  }
  if (typeof schema.pattern === 'string') said.push(`matches ${short(schema.pattern)}`);
  if (schema.uniqueItems === true) said.push('no two items are the same');
  if (schema.default !== undefined) said.push(`${shortJson(schema.default)} if it is left out`);
  if (schema.deprecated === true) said.push('deprecated');
  return said;
}

const shortJson = (value: unknown) => short(JSON.stringify(value) ?? '');

function short(text: string): string {
  return text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
}
