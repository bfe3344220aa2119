import { randomBytes } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifySchema, FastifySchemaCompiler } from 'fastify';
import { Type } from 'typebox';
import type { AcceptedWebhook } from '../../intake/accept.sql.ts';
import { freeBuffer } from '../../lib/free-buffer.ts';
import { createSigningKey, hubSignature, judgeSharedSecret } from '../../signing/sign.ts';
import { createHubVerifier } from '../../signing/verify/hmac.ts';
import type { CachedSubscription } from '../../subscriptions/cache.ts';
import { forwardedOf, isContentType } from '../../subscriptions/ingest.ts';
import { PolicyError } from '../../subscriptions/policy.ts';
import { withTraceContext } from '../../tracing/trace-context.ts';
import { compactJson, explainRefusal, isJsonType, parseJsonBody, takeBytes } from '../accepting.ts';
import { IdempotencyKeyHeader, markReplayed, readIdempotency } from '../idempotency.ts';
import { requireWebhookFormat } from '../judge-notices.ts';
import { maySee, missingScope } from '../plugins/auth.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { described, problems, SubscriptionId, WebhookId } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';
import { validatorCompiler } from '../validation.ts';

const SIGNATURE_HEADER = 'x-hub-signature-256';

/** Checks only the path: the body is bytes, and the handler reads the headers. */
const validatorOfParams: FastifySchemaCompiler<object> = (route) =>
  route.httpPart === 'params' ? validatorCompiler(route) : () => true;

/** The routes of /ingest, by which sources hand webhooks in. */
export const ingestRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  await app.register(ingestBytesRoutes, { services });

  app.post(
    '/ingest/getsignature',
    {
      config: { scope: 'send' },
      schema: {
        operationId: 'getSignature',
        summary: 'Compute a signature for tests by hand',
        description:
          'If the payload is a string, its characters are signed; any other payload is signed as compact JSON. The answer shows the exact bytes that were signed: send exactly those to /ingest.',
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
            'The signature, and the text that was signed.',
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
          'has half of a surrogate pair, which UTF-8 cannot express; remove it or complete the pair',
        );
      return {
        signature: hubSignature(createSigningKey(secret), Buffer.from(text)),
        signed_payload: text,
      };
    },
  );
};

/** This route has a scope of its own because its bodies stay bytes; the other routes parse theirs. */
const ingestBytesRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { intake, subscriptions, metrics } = services;
  takeBytes(app);

  const schema: FastifySchema = {
    operationId: 'ingest',
    summary: 'Hand in a webhook for one subscription',
    description:
      'The body is any JSON, or has one of the `ingest_content_types` of the subscription. It is stored and delivered byte for byte, with its content type and the headers that `forward_headers` names. A 202 means that the webhook is committed: it will be delivered, or its failure will be recorded. If the subscription has `verify`, the request must be signed as `verify` says.',
    tags: ['ingest'],
    params: Type.Object({ subscription_id: SubscriptionId }),
    headers: Type.Object({
      [SIGNATURE_HEADER]: Type.Optional(
        Type.String({
          description:
            'Required if the subscription has a secret and no `verify`: `sha256=` and the HMAC-SHA256 of the body in hex. The key is the secret of the subscription, or an earlier secret whose overlap has not ended.',
        }),
      ),
      ...IdempotencyKeyHeader,
    }),
    body: {
      content: {
        'application/json': {
          schema: {
            description: 'Any JSON.',
            examples: [{ event: 'order.created', order: { id: 7 } }],
          },
        },
        '*/*': {
          schema: {
            type: 'string',
            format: 'binary',
            description: 'A body of one of the `ingest_content_types` of the subscription.',
          },
        },
      },
    },
    response: {
      // A range, because many generators give the method the type of the lowest status.
      '2xx': described(
        'The answer (200) to the URL verification of Slack, which sends a challenge before any webhook. Nothing was stored.',
        Type.Object({ challenge: Type.String() }),
      ),
      202: described(
        'The webhook is committed.',
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
      schema: schema,
      config: { scope: 'own', handsIn: true },
      bodyLimit: services.settings.maxBodyBytes,
      validatorCompiler: validatorOfParams,
    },
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
      requireWebhookFormat(subscription);
      request.tenant = subscription.tenant;
      if (app.countForTenant !== null) await app.countForTenant(request);
      const contentType = requireContentType(request.headers, subscription);
      const challenge = challengeIn(contentType, body, subscription);
      if (challenge !== null) return { challenge };

      let webhook: AcceptedWebhook | null;
      try {
        webhook = await intake.accept({
          subscriptionId: id,
          tenant: request.tenant,
          eventType: null,
          channels: null,
          orderingKey: null,
          contentType,
          headers: withTraceContext(forwardedHeaders(request.headers, subscription), request.trace),
          deliverAt: null,
          body: body as Buffer,
          dataStart: 0,
          idempotency: readIdempotency(request, body as Buffer),
        });
      } catch (error) {
        throw explainRefusal(error, metrics);
      }
      // The webhook is committed, so its bytes are no longer needed here.
      freeBuffer(body as Buffer);
      request.webhookId = webhook?.id ?? null;
      if (webhook === null) throw notFound('subscription', id);
      if (webhook.replayed) markReplayed(reply);
      else metrics.accepted.inc();
      reply.code(202);
      return { status: 'accepted', webhook_id: webhook.id, subscription_id: id };
    },
  );
};

/** The verifier used for subscriptions that do not exist or have no secret, so that the work is the same. */
const DUMMY_VERIFIER = createHubVerifier([
  {
    kind: 'hmac',
    signing: createSigningKey(randomBytes(32).toString('hex')),
    untilMs: Number.POSITIVE_INFINITY,
  },
]);

/**
 * Checks the signature of a request without a key. Its sender may not learn which subscriptions exist
 * or how they verify, so every refusal is the same answer after the same work.
 *
 * @throws Problem (401)
 */
function requireSignature(
  headers: IncomingHttpHeaders,
  body: Buffer | undefined,
  subscription: CachedSubscription | null,
): asserts subscription is CachedSubscription {
  const verifier = subscription?.verifier ?? null;
  const signatureProblem = (verifier ?? DUMMY_VERIFIER).check(headers, body ?? EMPTY, Date.now());
  if (signatureProblem === null && verifier !== null) return;
  throw new Problem(
    'unauthorized',
    'The request has no key and no valid signature. Send a key (Authorization: Bearer <key>) or, if the subscription has a secret, a signature of the body under that secret, such as X-Hub-Signature-256: sha256=<hex HMAC-SHA256>. If a request with a key has a bad signature, the answer says what is wrong with it.',
    { headers: { 'www-authenticate': 'Bearer' } },
  );
}

/**
 * Checks the signature of a request with a key: a subscription that verifies signatures requires it there too.
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
      `Subscription ${id} is not valid: ${problem}. Correct it with PATCH /v1/subscriptions/${id}.`,
    );
  }
  const signatureProblem = verifier?.check(headers, body ?? EMPTY, Date.now()) ?? null;
  if (signatureProblem !== null) throw new Problem('unauthorized', signatureProblem);
}

/**
 * Returns the content type of a request.
 *
 * @throws Problem (415) unless it is JSON or a type that the subscription takes.
 */
function requireContentType(
  headers: IncomingHttpHeaders,
  { id, ingest: { contentTypes } }: CachedSubscription,
): string {
  const contentType = headers['content-type'] ?? '';
  if (isJsonType(contentType) || isContentType(contentType, contentTypes)) return contentType;
  const taken = ['application/json', ...contentTypes].join(' or ');
  throw new Problem(
    'unsupported-media-type',
    `The content-type is ${contentType || 'missing'}; send ${taken}, or add the type to the ingest_content_types of subscription ${id}.`,
  );
}

/** @throws Problem (400) for headers that cannot be passed on. */
function forwardedHeaders(headers: IncomingHttpHeaders, { ingest }: CachedSubscription) {
  if (ingest.forwardHeaders.length === 0) return null;
  try {
    return forwardedOf(headers, ingest.forwardHeaders);
  } catch (error) {
    if (error instanceof PolicyError) throw invalidField(error.field, `${error.message}.`);
    throw error;
  }
}

/**
 * Returns the answer to a request that is a challenge and not a webhook, or null. It is a function of its
 * own so that the parsed body can be collected while the webhook is committed.
 *
 * @throws Problem (400) if the body is empty, or is to be JSON and is not.
 */
function challengeIn(
  contentType: string,
  body: Buffer | undefined,
  { verifier }: CachedSubscription,
): string | null {
  if (!isJsonType(contentType)) {
    if (body === undefined || body.length === 0)
      throw new Problem('invalid-request', 'The body is empty; send the webhook in it.');
    return null;
  }
  const { value } = parseJsonBody(body);
  return verifier?.challenge?.(value) ?? null;
}

const EMPTY = Buffer.alloc(0);
