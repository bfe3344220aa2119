import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifySchema } from 'fastify';
import { Type } from 'typebox';
import type { AcceptedWebhook } from '../../intake/accept.sql.ts';
import { freeNow } from '../../lib/free-now.ts';
import { createSigningKey, hubSignature, judgeSharedSecret } from '../../signing/sign.ts';
import { createHubVerifier } from '../../signing/verify/hmac.ts';
import type { CachedSubscription } from '../../subscriptions/cache.ts';
import { compactJson, explainRefusal, parseJsonBody, takeRawJson } from '../accepting.ts';
import { IdempotencyKeyHeader, markReplayed, readIdempotency } from '../idempotency.ts';
import { maySee, missingScope } from '../plugins/auth.ts';
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
      const text = typeof payload === 'string' ? payload : compactJson(payload, 'body.payload');
      if (!text.isWellFormed())
        throw invalidField(
          'body.payload',
          'has half of a surrogate pair, which no bytes stand for',
        );
      return {
        signature: hubSignature(createSigningKey(secret), Buffer.from(text)),
        signed_payload: text,
      };
    },
  );
};

/** The hot route lives in a scope of its own, where bodies stay the bytes that they are. */
const rawIngest: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { intake, subscriptions, metrics } = services;
  takeRawJson(app, services.settings.maxBodyBytes);

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
      ...IdempotencyKeyHeader,
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
      ...problems(400, 401, 404, 409, 413, 415, 422),
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
      const { access } = request;
      if (access !== null && !access.allowed.has('send')) throw missingScope('send');
      const found = await subscriptions.get(id);
      const subscription = found !== null && maySee(access, found.tenant) ? found : null;
      if (access === null) {
        requireSignature(request.headers, body, subscription);
      } else {
        if (subscription === null) throw notFound('subscription', id);
        explainSignature(request.headers, body, subscription);
      }
      request.tenant = subscription.tenant;
      if (app.countForTenant !== null) await app.countForTenant(request);
      const challenge = challengeIn(body, subscription);
      if (challenge !== null) return { challenge };

      let webhook: AcceptedWebhook | null;
      try {
        webhook = await intake.accept({
          subscriptionId: id,
          tenant: request.tenant,
          eventType: null,
          channels: null,
          orderingKey: null,
          contentType: request.headers['content-type'] as string,
          body: body as Buffer,
          dataStart: 0,
          idempotency: readIdempotency(request, body as Buffer),
        });
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      // It is Postgres's now.
      freeNow(body as Buffer);
      if (webhook === null) throw notFound('subscription', id);
      if (webhook.replayed) markReplayed(reply);
      else metrics.accepted.inc();
      reply.code(202);
      return { status: 'accepted', webhook_id: webhook.id, subscription_id: id };
    },
  );
};

/** Stands in for the verifier of a subscription that is not there or has no secret. */
const NOBODYS_VERIFIER = createHubVerifier([
  {
    kind: 'hmac',
    signing: createSigningKey(randomBytes(32).toString('hex')),
    untilMs: Number.POSITIVE_INFINITY,
  },
]);

/**
 * Who shows no key must have signed. Which subscriptions there are, and how they want to be signed
 * for, is nothing that he may learn: he gets one answer, after the same work.
 *
 * @throws Problem (401)
 */
function requireSignature(
  headers: IncomingHttpHeaders,
  body: Buffer | undefined,
  subscription: CachedSubscription | null,
): asserts subscription is CachedSubscription {
  const verifier = subscription?.verifier ?? null;
  const wrong = (verifier ?? NOBODYS_VERIFIER).check(headers, body ?? EMPTY, Date.now());
  if (wrong === null && verifier !== null) return;
  throw new Problem(
    'unauthorized',
    'Send a key (Authorization: Bearer <key>) or, for a subscription that has a secret, the signature of the body under it, such as X-Hub-Signature-256: sha256=<hex HMAC-SHA256>. With a key, the answer says what is wrong with a signature.',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

/**
 * What is handed in with a key must be signed too, if the subscription has something to verify with.
 *
 * @throws Problem (401) that says what is wrong with the signature.
 */
function explainSignature(
  headers: IncomingHttpHeaders,
  body: Buffer | undefined,
  { id, verifier, problem }: CachedSubscription,
): void {
  if (problem !== null) {
    throw new Problem(
      'unavailable',
      `Subscription ${id} is not valid: ${problem}. Correct it by updatesubscription.`,
    );
  }
  const wrong = verifier?.check(headers, body ?? EMPTY, Date.now()) ?? null;
  if (wrong !== null) throw new Problem('unauthorized', wrong);
}

/**
 * What is to be answered to one that is no webhook, or null. On its own, so that what was parsed is
 * gone while the webhook is committed.
 *
 * @throws Problem (400) for what is not JSON.
 */
function challengeIn(body: Buffer | undefined, { verifier }: CachedSubscription): string | null {
  const { value } = parseJsonBody(body);
  return verifier?.challenge?.(value) ?? null;
}

const EMPTY = Buffer.alloc(0);
