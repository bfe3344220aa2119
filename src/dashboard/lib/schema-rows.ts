import { type Found, follow, isJson, type Json } from './json-schema.ts';
import { rulesInWords, typeInWords } from './schema-words.ts';

/** A field that a JSON Schema describes. */
export interface SchemaRow {
  /** Such as `items[].price`. */
  readonly path: string;
  /** Such as `string or null`. */
  readonly type: string;
  readonly required: boolean;
  readonly description: string | null;
  /** What else its values must be. */
  readonly rules: readonly string[];
}

export interface SchemaRows {
  readonly rows: readonly SchemaRow[];
  /** False: the schema says more than the rows do. */
  readonly complete: boolean;
}

const MAX_ROWS = 300;
const MAX_DEPTH = 10;
/** Schemas that refer to each other can be looked at in more ways than a page has time for. */
const MAX_LOOKS = 5_000;
/** Keywords about fields that no row shows. */
const NOT_SHOWN = [
  ...['not', 'if', 'then', 'else', 'contains', 'propertyNames'],
  ...['dependentSchemas', 'dependentRequired', '$dynamicRef', 'unevaluatedItems'],
];

/** Where a schema is: the schemas around it, each with the path of its field. */
interface Place {
  readonly path: string;
  readonly around: ReadonlyMap<unknown, string>;
  /** In which form of several its fields are; empty: in each. */
  readonly form: string;
}

/** Lists the fields of a JSON Schema (draft 2020-12) from the outside in, for a table. */
export function schemaRows(schema: unknown, root: unknown = schema): SchemaRows {
  const rows: SchemaRow[] = [];
  let complete = true;
  let looks = 0;

  function addFields(found: Found, place: Place): void {
    if (!isJson(found.schema) || place.around.has(found.identity)) return;
    const { schema, root } = found;
    looks += 1;
    const isTooFar = place.around.size > MAX_DEPTH || looks > MAX_LOOKS;
    if (isTooFar || NOT_SHOWN.some((name) => schema[name] !== undefined)) complete = false;
    if (isTooFar) return;
    const inside = { ...place, around: new Map([...place.around, [found.identity, place.path]]) };
    const add = (name: string, field: unknown, required = false) =>
      addRow(follow(field, root), { ...inside, path: `${place.path}${name}` }, required);

    const required = new Set([schema.required ?? []].flat());
    const dot = place.path === '' ? '' : '.';
    for (const [name, field] of entriesOf(schema.properties))
      add(`${dot}${name}`, field, required.has(name));
    for (const [pattern, field] of entriesOf(schema.patternProperties))
      add(`${dot}{${pattern}}`, field);
    for (const others of [schema.additionalProperties, schema.unevaluatedProperties])
      if (isJson(others)) add(`${dot}{any other}`, others);
    for (const [index, item] of [schema.prefixItems ?? []].flat().entries())
      add(`[${index}]`, item);
    if (isJson(schema.items)) addItems(follow(schema.items, root), inside);
    for (const part of [schema.allOf ?? []].flat()) addFields(follow(part, root), inside);
    for (const forms of [schema.anyOf, schema.oneOf]) addForms([forms ?? []].flat(), root, inside);
  }

  function addItems(found: Found, place: Place): void {
    const each = { ...place, path: `${place.path}[]` };
    const says = isJson(found.schema) && rulesInWords(found.schema).length > 0;
    if (says) addRow(found, each, false);
    else addFields(found, each);
  }

  function addForms(forms: readonly unknown[], root: unknown, place: Place): void {
    for (const [index, form] of forms.entries()) {
      const found = follow(form, root);
      const name = titleOf(found) ?? `form ${index + 1} of ${forms.length}`;
      addFields(found, { ...place, form: name });
    }
  }

  function addRow(found: Found, place: Place, required: boolean): void {
    if (rows.length >= MAX_ROWS) {
      complete = false;
      return;
    }
    const schema: Json = isJson(found.schema) ? found.schema : {};
    const again = place.around.get(found.identity);
    rows.push({
      path: place.path,
      type: typeInWords(found.schema, found.root),
      required,
      description: textOf(schema.description) ?? textOf(schema.title),
      rules: [
        ...(place.form === '' ? [] : [`in ${place.form}`]),
        ...rulesInWords(schema),
        ...(again === undefined
          ? []
          : [`the same fields as ${again === '' ? 'the whole' : again}`]),
      ],
    });
    addFields(found, { ...place, form: '' });
  }

  addFields(follow(schema, root), { path: '', around: new Map(), form: '' });
  return { rows, complete };
}

const entriesOf = (value: unknown) => Object.entries(isJson(value) ? value : {});
const textOf = (value: unknown) => (typeof value === 'string' && value !== '' ? value : null);
const titleOf = ({ schema }: Found) => (isJson(schema) ? textOf(schema.title) : null);
