import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { isKey } from '../../keys/format.ts';
import type { Access, KnownKey } from '../../keys/keyring.ts';
import { SCOPES } from '../../keys/scopes.ts';
import { PORTAL_SCREENS, type Portal } from '../../sessions/portal.ts';
import { type BrowserSession, KEPT_MS } from '../../sessions/sessions.ts';
import { ANYBODY, type Identification, unauthorized } from '../plugins/identify.ts';
import { CSRF_HEADER, refuseForeignPage, requireOwnPage } from '../plugins/own-page.ts';
import {
  clearSessionCookie,
  PORTAL_HEADER,
  readSessionToken,
  sessionKindOf,
  setSessionCookie,
} from '../plugins/session-cookie.ts';
import { Problem } from '../problems.ts';
import { described, named, nullable, oneOf, problems, Timestamp } from '../schemas/common.ts';
import { PortalAccessSchema, ThemeSchema } from '../schemas/portal.ts';
import type { ApiServices } from '../services.ts';

const PortalSchema = named('Portal', {
  name: nullable(Type.String({ description: 'The name of the tenant.' })),
  access: PortalAccessSchema,
  screens: Type.Array(oneOf(PORTAL_SCREENS)),
  theme: ThemeSchema,
});

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
  portal: nullable({
    ...PortalSchema,
    description: `The portal that the session is for. Null: none. Pages of the portal send the header \`${PORTAL_HEADER}: 1\` with every request.`,
  }),
});

/** Signing in to the pages of the service: a key is exchanged for a cookie. */
export const sessionRoutes: FastifyPluginAsyncTypebox<{
  services: ApiServices;
  identification: Identification;
}> = async (app, { services: { sessions, portalLinks, settings }, identification }) => {
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
      const old = readSessionToken(app, request, 'session');
      if (old !== undefined) await sessions.end(old);
      const { keyId, expiresAt = null } = access as Access & Partial<KnownKey>;
      const opened = await sessions.open(typeof keyId === 'number' ? keyId : null, expiresAt);
      setSessionCookie(request, reply, 'session', opened.token, opened.expiresAt);
      return present(access, { expiresAt: opened.expiresAt, portal: null });
    },
  );

  app.post(
    '/v1/session/portal',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'createPortalSession',
        summary: 'Open a portal by its link',
        description:
          'The page of a link does this. A request that only reads the page, such as one for a preview of the link, does not use the link up.',
        tags: ['service'],
        body: Type.Object(
          {
            link: Type.String({
              maxLength: 36,
              description: 'The id in the path of the link.',
              examples: ['9b2d5b1e-3a2f-4a37-9d59-0a8f5a3e7c10'],
            }),
            token: Type.String({ maxLength: 100, description: 'The part of the link after #.' }),
          },
          {
            additionalProperties: false,
            examples: [{ link: '9b2d5b1e-3a2f-4a37-9d59-0a8f5a3e7c10', token: 'k_2Vq7…' }],
          },
        ),
        response: {
          200: described('The session. Its token is in the cookie.', SessionSchema),
          ...problems(400, 401, 403, 413, 415),
        },
      },
    },
    async (request, reply) => {
      refuseForeignPage(request);
      const { link, token } = request.body;
      const opened = await portalLinks.open(link, token);
      const session = opened && (await sessions.find(opened.token));
      if (opened === null || session === null)
        throw unauthorized(
          'This link was opened before, or is too old. Open this page again from where you came.',
        );
      const access = await identification.ofPortal(session);
      // Longer than the session, so that an embedded page may show that it has ended.
      const kept = new Date(opened.expiresAt.getTime() + KEPT_MS);
      setSessionCookie(request, reply, 'portal', opened.token, kept);
      return present(access, session);
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
      const token = readSessionToken(app, request, sessionKindOf(request));
      const session = access === null || token === undefined ? null : await sessions.find(token);
      return present(access, session, sessionKindOf(request) === 'portal');
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
      const kind = sessionKindOf(request);
      const token = readSessionToken(app, request, kind);
      if (token !== undefined) {
        requireOwnPage(request);
        await sessions.end(token);
      }
      clearSessionCookie(request, reply, kind);
      return present(null, null, kind === 'portal');
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

  /** @param inPortal everything in a portal needs its session, even if the API requires no key. */
  function present(
    access: Access | null,
    session: Pick<BrowserSession, 'expiresAt' | 'portal'> | null,
    inPortal = session !== null && session.portal !== null,
  ) {
    const required = settings.authRequired || inPortal;
    const { tenant = null, allowed } = access ?? (required ? {} : ANYBODY);
    return {
      signed_in: access !== null && access.keyId !== null,
      required,
      tenant,
      scopes: SCOPES.filter((scope) => allowed?.has(scope)),
      expires_at: session?.expiresAt ?? null,
      portal: presentPortal(session?.portal ?? null),
    };
  }
};

function presentPortal(portal: Portal | null) {
  if (portal === null) return null;
  const { name, access, screens, theme } = portal;
  return { name, access, screens: [...screens], theme };
}
