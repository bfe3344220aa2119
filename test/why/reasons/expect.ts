import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import type pg from 'pg';
import type { Test } from 'tap';
import { operationsOf, readDocument } from '../../helpers/openapi.ts';
import { startReceiver } from '../../helpers/receiver.ts';
import type { Reply, TestService } from '../../helpers/service.ts';
import { until } from '../../helpers/until.ts';

/** A time in a sentence. */
export const UTC = String.raw`(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d UTC`;
/** The states and reasons that were found, as `held paused`. */
export const seen = new Set<string>();

/** A receiver that answers as the path of the subscription says: `/200`, `/503`, or never. */
export async function startByPath(t: Test) {
  const receiver = await startReceiver(t, (response, { path }) => {
    const status = Number(path.slice(1));
    if (!(status >= 100)) return;
    response.statusCode = status;
    response.end('an answer');
  });
  return (path: string) => `${receiver.url}/${path}`;
}

type Judge = (why: Reply['json']) => boolean;
const isReason =
  (reason: string): Judge =>
  (why) =>
    why.reason === reason;

/**
 * Waits until a delivery has a reason, and checks its sentence and its answer.
 *
 * @param sentence what `why` must be as a whole.
 */
export async function expectWhy(
  t: Test,
  posthorn: TestService,
  delivery: string,
  [state, reason]: readonly [state: string, reason: string],
  sentence: RegExp,
): Promise<Reply['json']> {
  const validate = await validatorOf(posthorn);
  const json = await until(`${delivery} is ${state} for ${reason}`, async () => {
    const reply = await posthorn.request('GET', `/v1/deliveries/${delivery}/why`);
    if (reply.status !== 200) throw new Error(reply.text);
    if (!isReason(reason)(reply.json) || reply.json.state !== state)
      throw new Error(`${reply.json.state} ${reply.json.reason}: ${reply.json.why}`);
    return reply.json;
  });
  t.match(json.why, new RegExp(`^${sentence.source}$`), `${state} ${reason}`);
  t.ok(validate(json), `the answer fits its schema: ${JSON.stringify(validate.errors)}`);
  t.ok(json.change.length > 0, 'it says what would change it');
  seen.add(`${state} ${reason}`);
  return json;
}

type Validate = ReturnType<Ajv2020['compile']>;
const validators = new WeakMap<TestService, Validate>();

async function validatorOf(posthorn: TestService): Promise<Validate> {
  const known = validators.get(posthorn);
  if (known !== undefined) return known;
  const document = await readDocument(posthorn);
  const operation = operationsOf(document).find((one) => one.operationId === 'getDeliveryWhy');
  const schema = operation?.responses['200']?.content?.['application/json']?.schema;
  const ajv = addFormats.default(new Ajv2020({ strict: false }));
  const validate = ajv.compile({ ...schema, components: document.components });
  validators.set(posthorn, validate);
  return validate;
}

/** Sends a webhook from SQL to a type's subscriptions: it comes by the queue. */
export async function sendFromSql(client: pg.Client, type: string, count = 1): Promise<string[]> {
  // With notifications, a worker is told of it and takes it without the queue.
  await client.query('set posthorn.notify = off');
  const { rows } = await client.query<{ id: string }>(
    `select posthorn.send($1, '{}')::text as id from generate_series(1, $2::integer)`,
    [type, count],
  );
  return rows.map(({ id }) => id);
}
