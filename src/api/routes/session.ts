import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isKey } from '../../keys/format.ts';
import type { Access, KnownKey } from '../../keys/keyring.ts';
import { SCOPES } from '../../keys/scopes.ts';
import { ANYBODY, type Identification } from '../plugins/identify.ts';
import { CSRF_HEADER, refuseForeignPage, requireOwnPage } from '../plugins/own-page.ts';
import {
  clearSessionCookie,
  readSessionToken,
  setSessionCookie,
} from '../plugins/session-cookie.ts';
import { Problem } from '../problems.ts';
import { described, named, nullable, oneOf, problems, Timestamp } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const SessionSchema = named('Session', {
  signed_in: Type.Boolean({
    description: 'Whether the request has a key, or the cookie of a session.',
  }),
  required: Type.Boolean({
    description:
      'Whether requests need a key. False: everything can be read and changed without signing in.',
  }),
  tenant: nullable(
    Type.String({ description: 'The tenant that the request is limited to. Null: all tenants.' }),
  ),
  scopes: Type.Array(oneOf(SCOPES), {
    description: 'What the request may do, with the scopes that others include.',
    examples: [['read', 'manage']],
  }),
  expires_at: nullable({
    ...Timestamp,
    description: 'When the session ends. Null: there is none.',
  }),
});

/** Signing in to the pages of the service: a key is exchanged for a cookie. */
export const sessionRoutes: FastifyPluginAsyncTypebox<{
  services: ApiServices;
  identification: Identification;
}> = async (app, { services: { sessions, settings }, identification }) => {
  app.addHook('onRequest', (_request, reply, done) => {
    reply.header('cache-control', 'no-store');
    done();
  });

  app.post(
    '/v1/session',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'createSession',
        summary: 'Sign in to the dashboard',
        description: `Exchanges a key for a cookie, which gives a browser the access of that key for up to 12 hours. The session ends earlier when the key expires or is revoked. Requests that change something with the cookie also need the header \`${CSRF_HEADER}: 1\`. Programs send the key itself.`,
        tags: ['service'],
        body: Type.Object(
          {
            key: Type.String({
              minLength: 1,
              maxLength: 1000,
              description: 'A key from /v1/keys, or the admin key.',
            }),
          },
          { additionalProperties: false, examples: [{ key: 'ph_live_2Vq7…' }] },
        ),
        response: {
          200: described('The session. Its token is in the cookie.', SessionSchema),
          ...problems(400, 401, 403, 413, 415, 429),
        },
      },
    },
    async (request, reply) => {
      const key = request.body.key.trim();
      refuseForeignPage(request);
      // Only the admin key can be guessed: people choose it.
      if (!isKey(key)) await app.countSignIn(request);
      const access = await identification.ofKey(key);
      const old = readSessionToken(app, request);
      if (old !== undefined) await sessions.end(old);
      const { keyId, expiresAt = null } = access as Access & Partial<KnownKey>;
      const opened = await sessions.open(typeof keyId === 'number' ? keyId : null, expiresAt);
      setSessionCookie(request, reply, opened.token, opened.expiresAt);
      return present(access, opened.expiresAt);
    },
  );

  app.get(
    '/v1/session',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'getSession',
        summary: 'See who is signed in, and what they may do',
        tags: ['service'],
        response: { 200: described('The session.', SessionSchema), ...problems(403) },
      },
    },
    async (request) => {
      const access = await accessOf(request);
      const token = readSessionToken(app, request);
      const session = access === null || token === undefined ? null : await sessions.find(token);
      return present(access, session?.expiresAt ?? null);
    },
  );

  app.delete(
    '/v1/session',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'deleteSession',
        summary: 'Sign out',
        description: 'Ends the session of the cookie, and removes the cookie.',
        tags: ['service'],
        response: { 200: described('The session has ended.', SessionSchema), ...problems(403) },
      },
    },
    async (request, reply) => {
      const token = readSessionToken(app, request);
      if (token !== undefined) {
        requireOwnPage(request);
        await sessions.end(token);
      }
      clearSessionCookie(request, reply);
      return present(null, null);
    },
  );

  /** Returns null for a request whose key or session is not valid. */
  async function accessOf(request: FastifyRequest): Promise<Access | null> {
    try {
      return await identification.ofRequest(request);
    } catch (error) {
      if (error instanceof Problem && error.status === 401) return null;
      throw error;
    }
  }

  function present(access: Access | null, expiresAt: Date | null) {
    const { authRequired: required } = settings;
    const { tenant = null, allowed } = access ?? (required ? {} : ANYBODY);
    return {
      signed_in: access !== null && access.keyId !== null,
      required,
      tenant,
      scopes: SCOPES.filter((scope) => allowed?.has(scope)),
      expires_at: expiresAt,
    };
  }
};
