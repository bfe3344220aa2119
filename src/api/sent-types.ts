import { TooManyQuestionsError } from '../event-types/schema-judge.ts';
import { type FieldProblem, invalidRequest, unavailable } from './problems.ts';
import type { ApiServices } from './services.ts';
import { explainValidation } from './validation.ts';

/** A webhook that somebody wants to send. */
interface Sent {
  readonly event_type: string;
  /** The data as a JSON text. */
  readonly data: string;
  /** Where in the request it stands: `body`, or `body.webhooks.7`. */
  readonly field: string;
}

/** What is told of at once. */
const MAX_TOLD = 20;

/**
 * Checks what is sent against what its tenant asks of event types: that they are registered, and
 * that the data fit their schemas.
 *
 * @returns a function that throws a Problem (400) naming the fields.
 */
export function createEventTypeCheck({ eventTypes, schemas }: ApiServices) {
  return async (tenant: string, sent: readonly Sent[]): Promise<void> => {
    const known = eventTypes.peek(tenant);
    const rules = known === undefined ? await eventTypes.get(tenant) : known;
    if (rules === null) return;
    const problems: FieldProblem[] = [];
    for (const { event_type, data, field } of sent) {
      if (problems.length >= MAX_TOLD) break;
      const type = rules.types.get(event_type);
      if (rules.strict && (type === undefined || type.archived)) {
        problems.push({
          field: `${field}.event_type`,
          message: `${event_type} is ${type === undefined ? 'not registered' : 'archived'}, and only registered types are taken; POST /v1/event-types registers one`,
        });
      } else if (rules.validate && type !== undefined && type.schema !== null) {
        problems.push(...(await judge(event_type, type.schema, data, `${field}.data`)));
      }
    }
    if (problems.length > 0) throw invalidRequest(problems.slice(0, MAX_TOLD));
  };

  async function judge(event_type: string, schema: string, data: string, field: string) {
    try {
      const { problem, errors } = await schemas.judge(schema, data);
      if (problem === null) return explainValidation(errors, field);
      return [
        { field, message: `could not be validated by the schema of ${event_type}: ${problem}` },
      ];
    } catch (error) {
      if (!(error instanceof TooManyQuestionsError)) throw error;
      throw unavailable(`${error.message}. Nothing was accepted; send it again.`, error);
    }
  }
}
