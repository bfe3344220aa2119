import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type { OpenApi, Operation, Schema } from '../openapi.ts';

export interface FuzzAnswer {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly body: Buffer;
}

/**
 * Judges answers by the document: their status, their content-type, and their body, in which every
 * field must be one that the document names.
 *
 * @returns a function that gives the answer's JSON, or throws an Error saying what is not as the
 *   document has it.
 */
export function createJudge(document: OpenApi) {
  const ajv = addFormats.default(new Ajv2020({ strict: false, allErrors: true }));
  const components = closed(document.components) as Schema;
  const compiled = new Map<Schema, ValidateFunction>();

  return function judge(operation: Operation, { status, contentType, body }: FuzzAnswer): unknown {
    const said = `${status} ${contentType}: ${body.subarray(0, 600)}`;
    if (status >= 500) throw new Error(`That is our fault: ${said}`);
    const response =
      operation.responses[status] ?? operation.responses[`${Math.floor(status / 100)}XX`];
    if (response === undefined) throw new Error(`The document does not know the status: ${said}`);
    const type = contentType?.split(';')[0]?.trim();
    if (response.content === undefined) {
      if (body.length > 0) throw new Error(`The document knows no body: ${said}`);
      return undefined;
    }
    const schema = response.content[type ?? '']?.schema;
    if (schema === undefined) throw new Error(`The document knows no such content-type: ${said}`);
    const isJson = /\bjson$/.test(type ?? '');
    const value = isJson ? JSON.parse(body.toString()) : body.toString();
    let fits = compiled.get(schema);
    if (fits === undefined) {
      fits = ajv.compile({ ...(closed(schema) as Schema), components });
      compiled.set(schema, fits);
    }
    if (!fits(value))
      throw new Error(`Not of the document's shape: ${ajv.errorsText(fits.errors)}; ${said}`);
    return value;
  };
}

/** A schema that refuses the fields which it does not name. */
function closed(node: unknown): unknown {
  if (Array.isArray(node)) return node.map(closed);
  if (typeof node !== 'object' || node === null) return node;
  const copy = Object.fromEntries(Object.entries(node).map(([key, value]) => [key, closed(value)]));
  const open = 'additionalProperties' in copy || 'patternProperties' in copy;
  // A map of properties may have one that is called properties.
  const isSchema = typeof (node as Schema).type === 'string' && 'properties' in copy;
  return isSchema && !open ? { ...copy, additionalProperties: false } : copy;
}
