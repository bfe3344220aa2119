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

/** A schema and an example, each as JSON text. */
interface WrittenFields {
  readonly schema: string | null;
  readonly example: string | null;
}

interface JudgedType extends WrittenFields {
  readonly tenant: string;
  readonly name: string;
}

/**
 * Creates the check of an event type's schema, and of its example against that schema.
 *
 * @param schemas runs the schemas of tenants in a thread of their own.
 * @returns a function that throws a Problem (400) naming the field below `at`, and returns the CPU time
 *   that the check took, in milliseconds.
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
        `is not a usable JSON Schema (draft 2020-12): ${judgement.problem}`,
      );
    const errors = explainJudgement(judgement, `${at}.example`);
    if (errors.length > 0) throw invalidRequest(errors);
    return judgement.cpuMs;
  };
}

/** Explains why data does not fit a schema, in texts of limited length. */
export function explainJudgement({ errors }: Judgement, part: string): FieldProblem[] {
  return explainValidation(errors, part).map(({ field, message }) => ({
    field: shortened(field),
    message: shortened(message),
  }));
}

/**
 * Makes the errors of the schema judge Problems.
 *
 * @throws Problem (429) when too many schemas of the tenant are waiting, (503) when nothing was judged.
 */
export async function judgeForTenant<T>(judge: () => Promise<T>): Promise<T> {
  try {
    return await judge();
  } catch (error) {
    if (error instanceof TooMuchWaitingError)
      throw new Problem(
        'too-many-requests',
        `${error.message}. Nothing was accepted; send it again after a few seconds, or simplify the schemas.`,
        { headers: { 'retry-after': '5' }, cause: error },
      );
    if (!(error instanceof NotJudgedError)) throw error;
    throw unavailable(`${error.message}. Nothing was accepted; send it again.`, error);
  }
}

/** Logs whose schema took too long. (The tenant reads it in the answer.) */
export function warnOfSlowSchema(
  log: Logger,
  { gaveUp, problem }: Judgement,
  tenant: string,
  event_type: string,
): void {
  if (gaveUp === 'now')
    log.warn(
      { tenant, event_type, problem },
      'gave up on a JSON Schema that took too long or too much memory',
    );
}

/**
 * Writes a schema and an example as JSON; undefined fields stay undefined.
 *
 * @throws Problem (400) naming the field that is nested too deeply or too large.
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
    throw invalidField(field, `is nested too deeply; at most ${MAX_DEPTH} levels are allowed`);
  const text = JSON.stringify(value);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxBytes)
    throw invalidField(field, `has ${bytes} bytes; at most ${maxBytes} are allowed`);
  return text;
}
