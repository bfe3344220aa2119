import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifySchema } from 'fastify';
import { Type } from 'typebox';
import { createSigningKey, hubSignature, judgeSharedSecret } from '../../delivery/sign.ts';
import type { AcceptedWebhook } from '../../intake/accept.sql.ts';
import { DEFAULT_TENANT } from '../../subscriptions/store.ts';
import { explainRefusal, parseJsonBody, takeRawJson } from '../accepting.ts';
import { missingKey } from '../plugins/auth.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { described, problems, SubscriptionId, WebhookId } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';
import { validatorCompiler } from '../validation.ts';

const SIGNATURE_HEADER = 'x-hub-signature-256';

/** Handing webhooks in. */
export const ingestRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  await app.register(rawIngest, { services });

  app.post(
    '/ingest/getsignature',
    {
      config: { scope: 'send' },
      schema: {
        operationId: 'getSignature',
        summary: 'Compute a signature, to test by hand',
        description:
          'A string is signed as it is; anything else as compact JSON. The answer shows the exact bytes that were signed: send those.',
        tags: ['ingest'],
        body: Type.Object(
          { payload: Type.Any(), secret: Type.String({ minLength: 1, maxLength: 256 }) },
          {
            additionalProperties: false,
            examples: [{ payload: '{"hello":"world"}', secret: 'my secret' }],
          },
        ),
        response: {
          200: described(
            'The signature, and what it is of.',
            Type.Object({
              signature: Type.String({ description: 'For the X-Hub-Signature-256 header.' }),
              signed_payload: Type.String({ description: 'The bytes that were signed, as text.' }),
            }),
          ),
          ...problems(400, 401, 413, 415),
        },
      },
    },
    async (request) => {
      const { payload, secret } = request.body as { payload: unknown; secret: string };
      const problem = judgeSharedSecret(secret);
      if (problem !== null) throw invalidField('body.secret', `cannot be used: ${problem}.`);
      const text = typeof payload === 'string' ? payload : compactJson(payload);
      return {
        signature: hubSignature(createSigningKey(secret), Buffer.from(text)),
        signed_payload: text,
      };
    },
  );
};

/** JSON.parse takes any depth, and JSON.stringify does not. */
function compactJson(payload: unknown): string {
  try {
    return JSON.stringify(payload);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw invalidField('body.payload', 'is nested too deeply to be written; give it as a string');
  }
}

/** The hot route lives in a scope of its own, where bodies stay the bytes that they are. */
const rawIngest: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { intake, subscriptions, metrics } = services;
  takeRawJson(app);

  const schema: FastifySchema = {
    operationId: 'ingest',
    summary: 'Hand a webhook in',
    description:
      'Any JSON. It is stored and delivered byte for byte. A 202 means that it is committed: it will be delivered, or visibly fail. What a subscription with `verify` takes must be signed as its source signs.',
    tags: ['ingest'],
    params: Type.Object({ subscription_id: SubscriptionId }),
    headers: Type.Object({
      [SIGNATURE_HEADER]: Type.Optional(
        Type.String({
          description:
            'Needed when the subscription has a secret, and no `verify`: sha256= and the hex HMAC-SHA256 of the body under that secret, or under one that it had before and that is still in its overlap.',
        }),
      ),
    }),
    body: { description: 'Any JSON', examples: [{ event: 'order.created', order: { id: 7 } }] },
    response: {
      200: described(
        'It is no webhook, and nothing was stored: Slack asked whether this is its receiver.',
        Type.Object({ challenge: Type.String() }),
      ),
      202: described(
        'It is committed.',
        Type.Object({
          status: Type.Literal('accepted'),
          webhook_id: WebhookId,
          subscription_id: SubscriptionId,
        }),
      ),
      ...problems(400, 401, 404, 413, 415),
    },
  };

  app.post<{ Params: { subscription_id: number } }>(
    '/ingest/:subscription_id',
    {
      schema: schema as never,
      config: { scope: 'own' },
      bodyLimit: services.settings.maxBodyBytes,
      // The body is bytes, whatever the document says of it; only the path is validated here.
      validatorCompiler: (route: { httpPart?: string }) =>
        route.httpPart === 'params' ? validatorCompiler(route as never) : () => true,
    } as never,
    async (request, reply) => {
      const id = request.params.subscription_id;
      const body = request.body as Buffer | undefined;
      const subscription = await subscriptions.get(id);
      if (subscription === null) {
        if (!request.hasKey) throw missingKey();
        throw notFound('subscription', id);
      }
      if (subscription.problem !== null) {
        throw new Problem(
          'unavailable',
          `Subscription ${id} is not valid: ${subscription.problem}. Correct it by updatesubscription.`,
        );
      }
      const { verifier } = subscription;
      if (verifier === null) {
        if (!request.hasKey) throw missingKey();
      } else {
        const problem = verifier.check(request.headers, body ?? Buffer.alloc(0), Date.now());
        if (problem !== null) throw new Problem('unauthorized', problem);
      }
      const { value } = parseJsonBody(body);
      const challenge = verifier?.challenge?.(value) ?? null;
      if (challenge !== null) return { challenge };

      let webhook: AcceptedWebhook | null;
      try {
        webhook = await intake.accept({
          subscriptionId: id,
          tenant: DEFAULT_TENANT,
          eventType: null,
          channels: null,
          orderingKey: null,
          contentType: request.headers['content-type'] as string,
          body: body as Buffer,
        });
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      if (webhook === null) throw notFound('subscription', id);
      metrics.accepted.inc();
      reply.code(202);
      return { status: 'accepted', webhook_id: webhook.id, subscription_id: id };
    },
  );
};
