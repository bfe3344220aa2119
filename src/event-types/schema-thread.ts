// Runs in a thread of its own, because schemas and documents are not trusted: see schema-judge.ts.
import { parentPort } from 'node:worker_threads';
import type { ErrorObject } from 'ajv';
import { compileSchema, createCompiledSchemas } from './compiled-schemas.ts';
import { reasonOf, shortened } from './limits.ts';
import { readWebhooks } from './openapi.ts';
import { OpenApiError } from './openapi-references.ts';
import type { Answer, Question, Reading, Task, Verdict } from './thread-messages.ts';
import { WANTS_MORE } from './thread-messages.ts';

/** After this, the rest of a batch is given back, so that other tenants get a turn. */
const BATCH_MS = 20;
const MAX_ERRORS = 20;

const schemas = createCompiledSchemas();

// The first compilation takes 50 ms, which must not count against a tenant.
compileSchema('{"properties":{"a":{"type":"string","format":"email"}}}');
parentPort?.on('message', answerBatch);
post({ id: WANTS_MORE, cpuMs: usedCpuMs() });

function answerBatch(questions: readonly Question[]): void {
  const start = usedCpuMs();
  for (const { id, task } of questions) {
    const result = task.kind === 'judge' ? judge(task) : readDocument(task.document);
    const cpuMs = usedCpuMs();
    post({ id, cpuMs, result });
    if (cpuMs - start > BATCH_MS) break;
  }
  post({ id: WANTS_MORE, cpuMs: usedCpuMs() });
}

function post(answer: Answer): void {
  parentPort?.postMessage(answer);
}

function usedCpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function judge({ tenant, schema, data }: Task & { kind: 'judge' }): Verdict {
  const fits = schemas.get(tenant, schema);
  if (typeof fits === 'string') return { problem: fits, errors: [] };
  if (data === null) return { problem: null, errors: [] };
  try {
    if (fits(JSON.parse(data))) return { problem: null, errors: [] };
    return { problem: null, errors: (fits.errors ?? []).slice(0, MAX_ERRORS).map(plain) };
  } catch (error) {
    // The schema recurses, or follows the data, deeper than the stack allows.
    return { problem: `it could not be applied: ${reasonOf(error)}`, errors: [] };
  }
}

/** Returns the parts of an error that can be sent to another thread, without the data. */
function plain({ instancePath, schemaPath, keyword, params, message }: ErrorObject): ErrorObject {
  return {
    instancePath: shortened(instancePath),
    schemaPath: shortened(schemaPath),
    keyword,
    params,
    message: shortened(message ?? 'is not valid'),
  };
}

function readDocument(text: string): Reading {
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    return { notJson: (error as Error).message };
  }
  try {
    return { types: readWebhooks(document) };
  } catch (error) {
    if (error instanceof OpenApiError) return { place: error.place, message: error.message };
    return { place: '', message: `cannot be read: ${reasonOf(error)}` };
  }
}
