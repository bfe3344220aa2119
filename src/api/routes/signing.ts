import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { readPrivateKey } from '../../signing/ed25519.ts';
import { judgeSecret } from '../../signing/sign.ts';
import { publicKeysOf, rotateSecret, TooManySecretsError } from '../../subscriptions/rotate.ts';
import { UnreadableSecretError } from '../../subscriptions/secrets.ts';
import { requireScheme, warningOf } from '../choose-secret.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { described, nullable, problems, SubscriptionId, Timestamp } from '../schemas/common.ts';
import { Secret, SecretWarning, SignatureScheme } from '../schemas/subscription.ts';
import type { ApiServices } from '../services.ts';

const DEFAULT_OVERLAP = '24h';
const MAX_OVERLAP_MS = 30 * 86_400_000;

const Params = Type.Object({ subscription_id: SubscriptionId });
const PublicKey = Type.String({
  description: 'whpk_ and the 32 bytes of an Ed25519 public key in base64.',
  examples: ['whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4='],
});

/** The secrets and keys that a subscription's deliveries are signed with. */
export const signingRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, sealer, subscriptions } },
) => {
  app.post(
    '/v1/subscriptions/:subscription_id/rotate-secret',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'rotateSecret',
        summary: 'Replace the secret of a subscription',
        description:
          'Until the overlap ends, the webhook-signature header has the signatures of both secrets, the new one first, and /ingest accepts signatures of either secret. X-Hub-Signature-256 and your own signature_header hold one signature, so they change to the new secret at once.',
        tags: ['subscriptions'],
        params: Params,
        body: Type.Object(
          {
            secret: Type.Optional(Secret),
            overlap: Type.Optional(
              Type.String({
                maxLength: 20,
                description: `How long the earlier secrets still sign, from 0s to 30d. Left out: ${DEFAULT_OVERLAP}. 0s: all earlier secrets stop signing at once.`,
                examples: [DEFAULT_OVERLAP],
              }),
            ),
            signature_scheme: Type.Optional(SignatureScheme),
          },
          { additionalProperties: false, examples: [{ overlap: DEFAULT_OVERLAP }] },
        ),
        response: {
          200: described(
            'The new secret is in use.',
            Type.Object({
              id: SubscriptionId,
              signature_scheme: SignatureScheme,
              secret: Type.Optional(
                Type.String({
                  description: 'The secret that Posthorn generated. It is never shown again.',
                }),
              ),
              public_key: Type.Optional(PublicKey),
              ...SecretWarning,
              previous_valid_until: nullable(
                Type.String({
                  format: 'date-time',
                  description:
                    'Until when the previous secret still signs. Null: it no longer signs, or there was none.',
                }),
              ),
            }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request) => {
      const { subscription_id: id } = request.params;
      const { secret, overlap = DEFAULT_OVERLAP, signature_scheme: scheme } = request.body;
      const secretProblem = secret === undefined ? null : judgeSecret(secret);
      if (secretProblem !== null)
        throw invalidField('body.secret', `cannot be used: ${secretProblem}.`);
      if (secret !== undefined) requireScheme(secret, scheme);
      const overlapMs = readOverlap(overlap);
      const rotation = await rotateSecret(db, sealer, request.tenant, id, {
        secret: secret ?? null,
        scheme: scheme ?? null,
        overlapMs,
      }).catch((error: unknown) => {
        if (!(error instanceof TooManySecretsError)) throw error;
        throw invalidField('body.overlap', `cannot be kept: ${error.message}.`);
      });
      if (rotation === undefined) throw notFound('subscription', id);
      subscriptions.drop(id);
      const asymmetric = rotation.scheme === 'ed25519';
      return {
        id,
        signature_scheme: rotation.scheme,
        ...(asymmetric ? { public_key: readPrivateKey(rotation.secret).publicKey } : {}),
        ...(asymmetric || secret !== undefined ? {} : { secret: rotation.secret }),
        ...warningOf(secret),
        previous_valid_until: rotation.previousUntil?.toISOString() ?? null,
      };
    },
  );

  app.get(
    '/v1/subscriptions/:subscription_id/public-key',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getPublicKey',
        summary: 'Get the public key of a subscription that signs with Ed25519',
        description:
          'Receivers verify the v1a signatures in the webhook-signature header with this key. Until the overlap after a rotation ends, each webhook is signed with both the current and the previous key.',
        tags: ['subscriptions'],
        params: Params,
        response: {
          200: described(
            'The current public key, and the previous ones whose private keys still sign.',
            Type.Object({
              public_key: PublicKey,
              previous: Type.Array(Type.Object({ public_key: PublicKey, valid_until: Timestamp })),
            }),
          ),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => {
      const { subscription_id: id } = request.params;
      const keys = await publicKeysOf(db, sealer, request.tenant, id).catch((error: unknown) => {
        if (!(error instanceof UnreadableSecretError)) throw error;
        throw new Problem('unavailable', `Subscription ${id} is not valid: ${error.message}.`);
      });
      if (keys === undefined) throw notFound('subscription', id);
      if (keys.current === null) {
        throw new Problem(
          'not-found',
          `Subscription ${id} has no public key, because it does not sign with Ed25519. POST rotate-secret with "signature_scheme": "ed25519" to make it do so.`,
        );
      }
      return {
        public_key: keys.current,
        previous: keys.previous.map(({ publicKey, until }) => ({
          public_key: publicKey,
          valid_until: until,
        })),
      };
    },
  );
};

function readOverlap(text: string): number {
  let overlapMs: number;
  try {
    overlapMs = parseDuration(text);
  } catch (error) {
    throw invalidField('body.overlap', `cannot be used: ${(error as Error).message}.`);
  }
  if (overlapMs <= MAX_OVERLAP_MS) return overlapMs;
  throw invalidField(
    'body.overlap',
    `is "${text}"; it must be at most ${formatDuration(MAX_OVERLAP_MS)}.`,
  );
}
