// Runs in a thread of its own, because the schemas are other people's: see schema-judge.ts.
import { parentPort } from 'node:worker_threads';
import type { ErrorObject, ValidateFunction } from 'ajv';
import { Ajv2020 } from 'ajv/dist/2020.js';
import formats from 'ajv-formats';
import type { Question, Verdict } from './schema-judge.ts';

const addFormats = formats as unknown as typeof formats.default;
const MAX_COMPILED = 500;
const compiled = new Map<string, ValidateFunction | string>();

parentPort?.on('message', (question: Question) => parentPort?.postMessage(judge(question)));
parentPort?.postMessage('ready');

function judge({ schema, data }: Question): Verdict {
  const fits = compiledOf(schema);
  if (typeof fits === 'string') return { problem: fits, errors: [] };
  if (data === null) return { problem: null, errors: [] };
  try {
    if (fits(JSON.parse(data))) return { problem: null, errors: [] };
    return { problem: null, errors: (fits.errors ?? []).map(plain) };
  } catch (error) {
    // Data or a schema that call themselves deeper than the stack is.
    return { problem: `it could not be applied: ${(error as Error).message}`, errors: [] };
  }
}

function compiledOf(schema: string): ValidateFunction | string {
  let fits = compiled.get(schema);
  if (fits === undefined) {
    fits = compile(schema);
    if (compiled.size >= MAX_COMPILED) compiled.delete(compiled.keys().next().value as string);
    compiled.set(schema, fits);
  }
  return fits;
}

function compile(schema: string): ValidateFunction | string {
  // An instance a schema: none can refer to another's parts, or stand in its way by the same $id.
  const ajv = addFormats(new Ajv2020({ strict: false, logger: false }));
  try {
    return ajv.compile(JSON.parse(schema));
  } catch (error) {
    return (error as Error).message;
  }
}

/** What can be sent to another thread, without the data. */
function plain({ instancePath, schemaPath, keyword, params, message }: ErrorObject) {
  return { instancePath, schemaPath, keyword, params, message: message ?? 'is not valid' };
}
