import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { type Static, Type } from 'typebox';
import type { AttemptResult } from '../../deliveries/record.sql.ts';
import { storableText } from '../../lib/storable-text.ts';
import { type Acknowledgement, acknowledge } from '../../pull/acknowledge.ts';
import { type LeaseName, readToken, writeToken } from '../../pull/token.ts';
import { classifyPulled } from '../../sending/classify.ts';
import { invalidField } from '../problems.ts';
import { pulledSubscription } from '../pulled-subscription.ts';
import { described, oneOf, problems, SubscriptionId } from '../schemas/common.ts';
import { LeaseToken } from '../schemas/pull.ts';
import type { ApiServices } from '../services.ts';

/** Ten answers to a pull. */
const MAX_RESULTS = 1_000;
/** As of answers to requests. */
const MAX_EXCERPT = 1_024;
const MAX_ERROR = 1_000;

const Result = Type.Object(
  {
    token: LeaseToken,
    result: oneOf(
      ['delivered', 'failed', 'released'],
      'delivered: the attempt succeeded. failed: it failed, and the next one follows by the retry schedule. released: the delivery is given back, at once and without an attempt.',
    ),
    response_code: Type.Optional(
      Type.Integer({
        minimum: 100,
        maximum: 599,
        description:
          'The HTTP status with which the receiver answered, if the webhook was forwarded to one. It is shown with the attempt and decides nothing.',
      }),
    ),
    error: Type.Optional(
      Type.String({
        maxLength: MAX_ERROR,
        description: 'Only for failed: what went wrong, as a sentence for people.',
      }),
    ),
    response_excerpt: Type.Optional(
      Type.String({
        maxLength: MAX_EXCERPT,
        description: 'The beginning of the answer, which is shown with the attempt.',
      }),
    ),
  },
  { additionalProperties: false },
);

/** Takes the results of deliveries that were pulled. */
export const acknowledgeRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { pool, subscriptions, settings, metrics } },
) => {
  const onAttempt = (result: AttemptResult) => metrics.observePulled(result);
  const recording = { schedule: settings.retrySchedule, onAttempt };

  app.post(
    '/v1/subscriptions/:subscription_id/acknowledge',
    {
      config: { scope: 'pull' },
      schema: {
        operationId: 'acknowledgeDeliveries',
        summary: 'Acknowledge deliveries that were pulled',
        description:
          'Records an attempt for each delivery and ends its lease, all in one transaction. Nothing is recorded for leases that had ended before: these deliveries are pulled again. A request that is repeated changes nothing, so it can be sent again after an error.',
        tags: ['pull'],
        params: Type.Object({ subscription_id: SubscriptionId }),
        body: Type.Object(
          { results: Type.Array(Result, { minItems: 1, maxItems: MAX_RESULTS }) },
          {
            additionalProperties: false,
            examples: [
              { results: [{ token: 'AYkKXayWd0u8zrMCCZqAVwAAAAE', result: 'delivered' }] },
            ],
          },
        ),
        response: {
          200: described(
            'What was recorded.',
            Type.Object({
              recorded: Type.Integer({
                description: 'The number of results that are recorded, by this request or before.',
              }),
              ended: Type.Array(LeaseToken, {
                description:
                  'The tokens whose leases had ended before: their time was over, or the delivery was released. Nothing was recorded for them.',
              }),
            }),
          ),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request) => {
      const { subscription_id: id } = request.params;
      const { results } = request.body;
      const given = results.map(acknowledgementOf);
      const seen = new Set<string>();
      for (const [nth, { token }] of results.entries()) {
        if (seen.has(token))
          throw invalidField(`body.results[${nth}].token`, 'is given twice; give each token once');
        seen.add(token);
      }
      await pulledSubscription(subscriptions, request.tenant, id);
      const ended = await acknowledge(pool, id, given, recording);
      return { recorded: given.length - ended.length, ended: ended.map(tokenOf) };
    },
  );
};

const tokenOf = (lease: LeaseName) => writeToken(lease);

function acknowledgementOf(given: Static<typeof Result>, nth: number): Acknowledgement {
  const lease = readToken(given.token);
  if (lease === undefined)
    throw invalidField(
      `body.results[${nth}].token`,
      'is not a token; give one from the answer to a pull',
    );
  if (given.result === 'released') return { ...lease, outcome: 'released' };
  const { response_code = null, response_excerpt } = given;
  const error = given.error && storableText(given.error, MAX_ERROR);
  return {
    ...lease,
    outcome: {
      ...classifyPulled(given.result === 'delivered', response_code, error),
      responseCode: response_code,
      responseExcerpt:
        response_excerpt === undefined ? null : storableText(response_excerpt, MAX_EXCERPT),
    },
  };
}
