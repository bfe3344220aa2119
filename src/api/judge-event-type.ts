import type { SchemaJudge } from '../event-types/schema-judge.ts';
import { TooManyQuestionsError } from '../event-types/schema-judge.ts';
import { type FieldProblem, invalidField, invalidRequest, unavailable } from './problems.ts';
import { explainValidation } from './validation.ts';

const MAX_SCHEMA_BYTES = 32 * 1024;

interface Given {
  readonly schema?: object | null | undefined;
  readonly example?: unknown;
}

/**
 * Judges the schema of an event type, and its example by it.
 *
 * @param schemas runs other people's schemas.
 * @returns a function that throws the Problem (400) that names the field, which `at` stands before.
 */
export function createEventTypeJudge(schemas: SchemaJudge) {
  return async ({ schema, example }: Given, at = 'body'): Promise<void> => {
    if (schema === undefined || schema === null) return;
    const text = written(schema, `${at}.schema`);
    const bytes = Buffer.byteLength(text);
    if (bytes > MAX_SCHEMA_BYTES)
      throw invalidField(
        `${at}.schema`,
        `has ${bytes} bytes; at most ${MAX_SCHEMA_BYTES} are taken`,
      );
    const none = example === undefined || example === null;
    const errors = await judge(text, none ? null : written(example, `${at}.example`), at);
    if (errors.length > 0) throw invalidRequest(errors);
  };

  async function judge(schema: string, data: string | null, at: string): Promise<FieldProblem[]> {
    try {
      const { problem, errors } = await schemas.judge(schema, data);
      if (problem !== null) {
        const message = `cannot be used as a JSON Schema of draft 2020-12: ${problem}`;
        return [{ field: `${at}.schema`, message }];
      }
      return explainValidation(errors, `${at}.example`);
    } catch (error) {
      if (!(error instanceof TooManyQuestionsError)) throw error;
      throw unavailable(`${error.message}. Try again shortly.`, error);
    }
  }
}

/** JSON.parse takes any depth, and JSON.stringify does not. */
function written(value: unknown, field: string): string {
  try {
    return JSON.stringify(value);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField(field, 'is nested too deeply');
  }
}
