import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ENVIRONMENTS } from '../../keys/format.ts';
import { SCOPES, type Scope } from '../../keys/scopes.ts';
import { createKey, listKeys, revokeKey } from '../../keys/store.ts';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import { CURSOR_ID } from '../cursor.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { MAX_TENANT_LENGTH } from '../plugins/access.ts';
import { invalidField, notFound } from '../problems.ts';
import {
  described,
  named,
  nullable,
  oneOf,
  problems,
  RequestTimestamp,
  Timestamp,
} from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

const KeyId = Type.Integer({
  minimum: 1,
  maximum: 2_147_483_647,
  description: 'The id of a key.',
  examples: [1],
});
const Tenant = Type.String({ maxLength: MAX_TENANT_LENGTH });
const Name = nullable(Type.String({ maxLength: 200 }));
const Scopes = Type.Array(oneOf(SCOPES), {
  minItems: 1,
  maxItems: SCOPES.length,
  description:
    'read: list and get everything of the tenant. send: send webhooks. manage: change subscriptions, event types and deliveries, and everything that read allows. admin: everything, for all tenants.',
  examples: [['send', 'read']],
});
const Environment = oneOf(
  ENVIRONMENTS,
  'A label inside the key, so that people and secret scanners can tell live keys from test keys. Posthorn treats both alike.',
);

const Key = named('Key', {
  id: KeyId,
  tenant: nullable(
    Type.String({ description: 'The tenant that the key is limited to. Null: all tenants.' }),
  ),
  name: Name,
  environment: Environment,
  scopes: Scopes,
  hint: Type.String({
    description: 'The first characters of the key, to recognize it by.',
    examples: ['ph_live_2Vq7'],
  }),
  created_at: Timestamp,
  expires_at: nullable(Timestamp),
  last_used_at: nullable({
    ...Timestamp,
    description: 'When the key was last used, exact to a minute.',
  }),
  revoked_at: nullable(Timestamp),
});

/** Keys. Only keys with the scope admin may create, list and revoke keys. */
export const keyRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, placement } },
) => {
  app.post(
    '/v1/keys',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'createKey',
        summary: 'Create a key',
        description:
          'The answer shows the key, this once: Posthorn stores only its SHA-256. A key belongs to one tenant; a key with the scope `admin` belongs to all.',
        tags: ['keys'],
        body: Type.Object(
          {
            scopes: Scopes,
            tenant: Type.Optional({
              ...Tenant,
              description: `The tenant that the key is limited to. Left out: ${DEFAULT_TENANT}. Must be left out with the scope admin.`,
            }),
            name: Type.Optional(Name),
            environment: Type.Optional(Environment),
            expires_at: Type.Optional(
              nullable({
                ...RequestTimestamp,
                description: 'From this time on the key is refused. Null: the key does not expire.',
              }),
            ),
          },
          { additionalProperties: false, examples: [{ scopes: ['send', 'read'], name: 'shop' }] },
        ),
        response: {
          201: described(
            'The key. Store it now: it is never shown again.',
            Type.Object({
              ...Key.properties,
              key: Type.String({
                description: 'The key, to send in the header Authorization: Bearer <key>.',
                examples: ['ph_live_2Vq7…'],
              }),
            }),
          ),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { scopes, name = null, environment = 'live', expires_at = null } = request.body;
      const tenant = tenantOf(scopes, request.body.tenant);
      const key = await createKey(
        db,
        {
          tenant,
          name,
          environment,
          scopes: [...new Set(scopes)],
          expiresAt: readExpiry(expires_at),
        },
        placement && tenant !== null ? (hash) => placement.placeKey(hash, tenant) : undefined,
      );
      if (key === undefined) throw notFound('tenant', request.body.tenant ?? DEFAULT_TENANT);
      return reply.code(201).send(key);
    },
  );

  addListRoute(app, {
    path: '/v1/keys',
    scope: 'admin',
    operationId: 'listKeys',
    summary: 'List the keys that are not revoked, by id',
    tag: 'keys',
    page: 'A page of keys.',
    filters: { tenant: Type.Optional({ ...Tenant, description: 'Only keys of this tenant.' }) },
    row: Key,
    cursor: [CURSOR_ID],
    read: ({ filters: { tenant }, limit, after = ['0'] }) =>
      readPageBy(
        limit,
        (limit) => listKeys(db, { tenant, after: Number(after[0]), limit }),
        ({ id }) => [id],
      ),
  });

  app.delete(
    '/v1/keys/:key_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'revokeKey',
        summary: 'Revoke a key',
        description:
          'A revoked key cannot be made valid again. Every process refuses it within a second.',
        tags: ['keys'],
        params: Type.Object({ key_id: KeyId }),
        response: { 200: described('The key, which is revoked.', Key), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => {
      const { key_id: id } = request.params;
      const key = await revokeKey(db, id);
      if (key === undefined) throw notFound('key', id);
      return reply.send(key);
    },
  );
};

/** @throws Problem (400) for a key with a tenant and the scope admin, which is for all tenants. */
function tenantOf(scopes: readonly Scope[], tenant: string | undefined): string | null {
  if (!scopes.includes('admin')) return tenant ?? DEFAULT_TENANT;
  if (tenant === undefined) return null;
  throw invalidField(
    'body.tenant',
    'must be left out with the scope admin, which is for all tenants; for a key of one tenant, give the scopes manage, send and read',
  );
}

/** @throws Problem (400) for a time in the past: such a key would never work. */
function readExpiry(text: string | null): Date | null {
  if (text === null) return null;
  const expiresAt = new Date(text);
  if (expiresAt.getTime() > Date.now()) return expiresAt;
  throw invalidField('body.expires_at', 'is in the past; give a time in the future');
}
