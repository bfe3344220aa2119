import type { ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import { reasonOf } from './limits.ts';

const addFormats = formats as unknown as typeof formats.default;

/** In bytes of schema text: compiled and used, 4 MiB took 160 MiB of memory. */
const MAX_CACHED_BYTES = 2 * 1024 * 1024;
const MAX_CACHED = 2000;

/** A compiled schema, or why it could not be compiled. */
type Compiled = ValidateFunction | string;

interface TenantSchemas {
  /** The least recently used first. */
  readonly compiled: Map<string, Compiled>;
  bytes: number;
}

/**
 * Compiles schemas and keeps those that were used last. When there are too many, the tenant with the most
 * bytes loses its least recently used schema, so no tenant can displace the schemas of the others.
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
  // Off, because its time grows with the square of the schema: 700 properties took 105 ms, without it 20 ms.
  code: { optimize: false },
} as const;

/** Validates schemas against the meta-schema, which is compiled only once because that takes 10 ms. */
const meta = new Ajv2020({ strict: false, logger: false });

/**
 * Compiles a JSON Schema (draft 2020-12).
 *
 * @returns the compiled schema, or why it cannot be compiled.
 */
export function compileSchema(schema: string): Compiled {
  try {
    const value = JSON.parse(schema);
    // `$async` is a keyword of ajv: the compiled function would return a promise.
    if (value.$async !== undefined) return '$async is no keyword of it';
    meta.validateSchema(value, true);
    // One instance for each schema, so that schemas cannot refer to each other or clash by the same $id.
    const ajv = addFormats(new Ajv2020(OPTIONS));
    return ajv.compile(value);
  } catch (error) {
    return reasonOf(error);
  }
}
