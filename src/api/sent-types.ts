import type { Judgement } from '../event-types/schema-judge.ts';
import { explainJudgement, judgeForTenant, warnOfSlowSchema } from './judge-event-type.ts';
import { type FieldProblem, invalidRequest } from './problems.ts';
import type { ApiServices } from './services.ts';

/** A webhook in a request to send. */
interface Sent {
  readonly event_type: string;
  /** The data as a JSON text. */
  readonly data: string;
  /** Its place in the request: `body`, or `body.webhooks.7`. */
  readonly field: string;
}

/** The most problems that one answer reports. */
const MAX_PROBLEMS = 20;

/**
 * Creates the check of webhooks by the tenant's settings for event types: that the types are registered,
 * and that the data fits their schemas.
 *
 * @returns a function that throws a Problem (400) naming the fields.
 */
export function createEventTypeCheck({ eventTypes, schemas, log }: ApiServices) {
  return async (tenant: string, sent: readonly Sent[]): Promise<void> => {
    const known = eventTypes.peek(tenant);
    const rules = known === undefined ? await eventTypes.get(tenant) : known;
    if (rules === null) return;
    const problems: FieldProblem[] = [];
    for (const { event_type, data, field } of sent) {
      if (problems.length >= MAX_PROBLEMS) break;
      const type = rules.types.get(event_type);
      if (rules.strict && (type === undefined || type.archived)) {
        problems.push({
          field: `${field}.event_type`,
          message: `${event_type} is ${type === undefined ? 'not registered' : 'archived'}, and this tenant accepts only registered types; register it by POST /v1/event-types`,
        });
      } else if (rules.validate && type !== undefined && type.schema !== null) {
        const { schema } = type;
        const judgement = await judgeForTenant(() => schemas.judge(tenant, schema, data));
        warnOfSlowSchema(log, judgement, tenant, event_type);
        problems.push(...explain(judgement, event_type, `${field}.data`));
        // The rest of the batch could take as long.
        if (judgement.gaveUp !== undefined) break;
      }
    }
    if (problems.length > 0) throw invalidRequest(problems.slice(0, MAX_PROBLEMS));
  };
}

function explain(judgement: Judgement, event_type: string, field: string): FieldProblem[] {
  const { problem } = judgement;
  if (problem === null) return explainJudgement(judgement, field);
  return [
    { field, message: `could not be validated against the schema of ${event_type}: ${problem}` },
  ];
}
