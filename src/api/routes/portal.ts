import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import type { FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Access, KnownKey } from '../../keys/keyring.ts';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { PORTAL_SCREENS } from '../../sessions/portal.ts';
import { maySee } from '../plugins/auth.ts';
import { isSecure } from '../plugins/session-cookie.ts';
import { invalidField, notFound } from '../problems.ts';
import { described, problems, Timestamp } from '../schemas/common.ts';
import {
  PORTAL_ACCESS_MEANING,
  PortalAccessSchema,
  PortalScreens,
  ThemeFields,
} from '../schemas/portal.ts';
import { TenantParams } from '../schemas/tenant.ts';
import type { ApiServices } from '../services.ts';

const DEFAULT_EXPIRY = '1h';
const MIN_EXPIRY_MS = 1_000;
const MAX_EXPIRY_MS = 7 * 86_400_000;

/** Links to the portal of a tenant, for its customers. */
export const portalRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { portalLinks, settings } },
) => {
  app.post(
    '/v1/tenants/:tenant_id/portal',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'createPortalLink',
        summary: 'Create a link to the portal of a tenant',
        description:
          'The portal has the screens of the dashboard, for this tenant alone, without a key. Create the link when your user asks for the portal, and open it in a tab or an iframe. It opens once, within ten minutes. The portal ends when the key that created the link is revoked or expires.',
        tags: ['tenants'],
        params: TenantParams,
        body: Type.Object(
          {
            expires_in: Type.Optional(
              Type.String({
                maxLength: 20,
                description: `How long the portal can be used, from now: 1s to 7d. Left out: ${DEFAULT_EXPIRY}.`,
                examples: ['1h'],
              }),
            ),
            access: Type.Optional({
              ...PortalAccessSchema,
              description: `${PORTAL_ACCESS_MEANING} Left out: read.`,
            }),
            screens: Type.Optional(PortalScreens),
            theme: Type.Optional(
              Type.Object(ThemeFields, {
                additionalProperties: false,
                description: 'How this portal looks, instead of what the tenant stores.',
              }),
            ),
          },
          { additionalProperties: false, examples: [{ access: 'manage', expires_in: '1h' }] },
        ),
        response: {
          201: described(
            'The link.',
            Type.Object({
              url: Type.String({
                description:
                  'The URL to open. It begins with POSTHORN_PUBLIC_URL, or else with the address of this request. The part after # is secret.',
              }),
              open_until: { ...Timestamp, description: 'Until then the link can be opened.' },
              expires_at: { ...Timestamp, description: 'Then the portal ends.' },
            }),
          ),
          ...problems(400, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { tenant_id: tenant } = request.params;
      refuseOtherTenant(request, tenant);
      const { expires_in, access = 'read', screens = PORTAL_SCREENS, theme } = request.body ?? {};
      const { keyId, expiresAt = null } = request.access as Access & Partial<KnownKey>;
      const link = await portalLinks.create({
        tenant,
        opener: typeof keyId === 'number' ? keyId : null,
        grant: { access, screens, ...(theme === undefined ? {} : { theme }) },
        expiresInMs: readExpiry(expires_in ?? DEFAULT_EXPIRY),
        until: expiresAt,
      });
      if (link === undefined) throw notFound('tenant', tenant);
      reply.header('cache-control', 'no-store');
      return reply.code(201).send({
        // The part after # is never sent: neither a proxy's log nor a Referer nor a preview of the link has it.
        url: `${baseUrl(request)}/portal/enter/${link.id}#${link.token}`,
        open_until: link.openUntil,
        expires_at: link.expiresAt,
      });
    },
  );

  app.delete(
    '/v1/tenants/:tenant_id/portal',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deletePortalLinks',
        summary: 'End all portals of a tenant',
        description: 'Ends all links to the portal of the tenant, and all sessions in it.',
        tags: ['tenants'],
        params: TenantParams,
        response: {
          200: described(
            'They have ended.',
            Type.Object({ ended: Type.Integer({ description: 'How many links and sessions.' }) }),
          ),
          ...problems(400, 404),
        },
      },
    },
    async (request) => {
      const { tenant_id: tenant } = request.params;
      refuseOtherTenant(request, tenant);
      return { ended: await portalLinks.endAll(tenant) };
    },
  );

  /** @throws Problem (404) for a tenant that is not the request's. */
  function refuseOtherTenant({ access, query, tenant: named }: FastifyRequest, tenant: string) {
    const names = (query as { tenant?: string }).tenant !== undefined;
    if (!maySee(access, tenant) || (names && named !== tenant)) throw notFound('tenant', tenant);
  }

  /** Returns the URL by which browsers reach the service, without a slash at its end. */
  function baseUrl(request: FastifyRequest): string {
    return settings.publicUrl ?? `${isSecure(request) ? 'https' : 'http'}://${request.host}`;
  }
};

/** @throws Problem (400) unless the text is a duration within the limits. */
function readExpiry(text: string): number {
  try {
    const expiryMs = parseDuration(text);
    if (expiryMs >= MIN_EXPIRY_MS && expiryMs <= MAX_EXPIRY_MS) return expiryMs;
  } catch {
    // The message below is clearer: it says which durations are allowed here.
  }
  throw invalidField(
    'body.expires_in',
    `must be a duration from ${formatDuration(MIN_EXPIRY_MS)} to ${formatDuration(MAX_EXPIRY_MS)}, such as ${DEFAULT_EXPIRY}`,
  );
}
