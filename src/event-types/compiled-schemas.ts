import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { reasonOf } from './limits.ts';

const addFormats = formats as unknown as typeof formats.default;

/** Bytes of schemas: compiled, and used, 4 MiB of them took 160 MiB of memory. */
const MAX_CACHED_BYTES = 2 * 1024 * 1024;
const MAX_CACHED = 2000;

/** A function that validates, or why there is none. */
export type Compiled = ValidateFunction | string;

interface TenantSchemas {
  /** The least recently used first. */
  readonly compiled: Map<string, Compiled>;
  bytes: number;
}

/**
 * Compiles schemas and keeps those that were used last. When there are too many, the tenant with the most
 * bytes loses its least recently used one, so no tenant can displace the schemas of the others.
 */
export function createCompiledSchemas(
  maxBytes = MAX_CACHED_BYTES,
  compile: (schema: string) => Compiled = compileSchema,
) {
  const tenants = new Map<string, TenantSchemas>();
  let bytes = 0;
  let count = 0;

  function makeRoom(): void {
    while (bytes > maxBytes || count > MAX_CACHED) {
      const [tenant, largest] = [...tenants].reduce((most, other) =>
        other[1].bytes > most[1].bytes ? other : most,
      );
      const oldest = largest.compiled.keys().next().value as string;
      largest.compiled.delete(oldest);
      largest.bytes -= oldest.length;
      bytes -= oldest.length;
      count -= 1;
      if (largest.compiled.size === 0) tenants.delete(tenant);
    }
  }

  return {
    get(tenant: string, schema: string): Compiled {
      let own = tenants.get(tenant);
      const known = own?.compiled.get(schema);
      if (own !== undefined && known !== undefined) {
        own.compiled.delete(schema);
        own.compiled.set(schema, known);
        return known;
      }
      const compiled = compile(schema);
      if (own === undefined) {
        own = { compiled: new Map(), bytes: 0 };
        tenants.set(tenant, own);
      }
      own.compiled.set(schema, compiled);
      own.bytes += schema.length;
      bytes += schema.length;
      count += 1;
      makeRoom();
      return compiled;
    },
  };
}

const OPTIONS = {
  strict: false,
  logger: false,
  validateSchema: false,
  // Its work grows with the square of a schema: 700 properties took 105 ms, and without it 20 ms.
  code: { optimize: false },
} as const;

/** Judges schemas by the meta-schema, which takes 10 ms to compile: once, and not for each schema. */
const meta = new Ajv2020({ strict: false, logger: false });

/**
 * Compiles a JSON Schema (draft 2020-12).
 *
 * @returns why it cannot be compiled, where it cannot.
 */
export function compileSchema(schema: string): Compiled {
  try {
    const value = JSON.parse(schema);
    // A keyword of ajv's own, which has the function answer with a promise.
    if (value.$async !== undefined) return '$async is no keyword of it';
    meta.validateSchema(value, true);
    // An instance a schema: none can refer to another's parts, or stand in its way by the same $id.
    const ajv = addFormats(new Ajv2020(OPTIONS));
    return ajv.compile(value);
  } catch (error) {
    return reasonOf(error);
  }
}
