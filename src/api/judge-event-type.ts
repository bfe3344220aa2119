import type { Logger } from 'pino';
import {
  isDeeperThan,
  MAX_DEPTH,
  MAX_EXAMPLE_BYTES,
  MAX_SCHEMA_BYTES,
  shortened,
} from '../event-types/limits.ts';
import {
  type Judgement,
  NotJudgedError,
  type SchemaJudge,
  TooMuchWaitingError,
} from '../event-types/schema-judge.ts';
import {
  type FieldProblem,
  invalidField,
  invalidRequest,
  Problem,
  unavailable,
} from './problems.ts';
import { explainValidation } from './validation.ts';

/** A schema and an example as JSON texts. */
export interface WrittenFields {
  readonly schema: string | null;
  readonly example: string | null;
}

interface JudgedType extends WrittenFields {
  readonly tenant: string;
  readonly name: string;
}

/**
 * Judges the schema of an event type, and its example by it.
 *
 * @param schemas runs other people's schemas.
 * @returns a function that throws the Problem (400) that names the field, which `at` stands before, and
 *   returns what the judgement has used of a core, in milliseconds.
 */
export function createEventTypeJudge({ schemas, log }: { schemas: SchemaJudge; log: Logger }) {
  return async (type: JudgedType, at: string): Promise<number> => {
    const { tenant, name, schema, example } = type;
    if (schema === null) return 0;
    const judgement = await judgeForTenant(() => schemas.judge(tenant, schema, example));
    warnOfSlowSchema(log, judgement, tenant, name);
    if (judgement.problem !== null)
      throw invalidField(
        `${at}.schema`,
        `cannot be used as a JSON Schema of draft 2020-12: ${judgement.problem}`,
      );
    const errors = explainJudgement(judgement, `${at}.example`);
    if (errors.length > 0) throw invalidRequest(errors);
    return judgement.cpuMs;
  };
}

/** What is wrong with data by a schema, in texts of a bounded length. */
export function explainJudgement({ errors }: Judgement, part: string): FieldProblem[] {
  return explainValidation(errors, part).map(({ field, message }) => ({
    field: shortened(field),
    message: shortened(message),
  }));
}

/**
 * Makes the judge's refusals Problems.
 *
 * @throws Problem (429) when the tenant asks for more than it may have, (503) when nothing was judged.
 */
export async function judgeForTenant<T>(judge: () => Promise<T>): Promise<T> {
  try {
    return await judge();
  } catch (error) {
    if (error instanceof TooMuchWaitingError)
      throw new Problem(
        'too-many-requests',
        `${error.message}. Nothing was accepted; send it again after some seconds, or simplify the schemas.`,
        { headers: { 'retry-after': '5' }, cause: error },
      );
    if (!(error instanceof NotJudgedError)) throw error;
    throw unavailable(`${error.message}. Nothing was accepted; send it again.`, error);
  }
}

/** Tells the operator whose schema took too long; the tenant is told in the answer. */
export function warnOfSlowSchema(
  log: Logger,
  { gaveUp, problem }: Judgement,
  tenant: string,
  event_type: string,
): void {
  if (gaveUp === 'now')
    log.warn(
      { tenant, event_type, problem },
      'gave up on a JSON Schema that takes too long or too much memory',
    );
}

/**
 * Writes a schema and an example as JSON; what is undefined stays so.
 *
 * @throws Problem (400) naming the one that is nested too deeply or too large.
 */
export function writeFields({
  schema,
  example,
}: {
  schema?: object | null | undefined;
  example?: unknown;
}): Partial<WrittenFields> {
  return {
    ...(schema === undefined ? {} : { schema: written(schema, 'body.schema', MAX_SCHEMA_BYTES) }),
    ...(example === undefined
      ? {}
      : { example: written(example, 'body.example', MAX_EXAMPLE_BYTES) }),
  };
}

function written(value: unknown, field: string, maxBytes: number): string | null {
  if (value === null) return null;
  // JSON.parse takes any depth, and JSON.stringify and Postgres do not.
  if (isDeeperThan(value, MAX_DEPTH))
    throw invalidField(field, `is nested too deeply; at most ${MAX_DEPTH} levels are taken`);
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes)
    throw invalidField(field, `has ${bytes} bytes; at most ${maxBytes} are taken`);
  return text;
}
