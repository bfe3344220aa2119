import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { ENVIRONMENTS } from '../../keys/format.ts';
import { SCOPES, type Scope } from '../../keys/scopes.ts';
import { createKey, listKeys, revokeKey } from '../../keys/store.ts';
import { DEFAULT_TENANT } from '../../tenants/store.ts';
import {
  CURSOR_ID,
  DEFAULT_LIMIT,
  linkNext,
  PageQuery,
  readCursor,
  writeCursor,
} from '../paging.ts';
import { MAX_TENANT_LENGTH } from '../plugins/access.ts';
import { invalidField, notFound } from '../problems.ts';
import { described, named, nullable, oneOf, problems, Timestamp } from '../schemas/common.ts';
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
    'read: see what there is. send: hand webhooks in. manage: change subscriptions and what is owed, and read. admin: everything, of all tenants.',
  examples: [['send', 'read']],
});
const Environment = oneOf(
  ENVIRONMENTS,
  'It is in the key, for people and for secret scanners to see. Posthorn treats both alike.',
);

const Key = named('Key', {
  id: KeyId,
  tenant: nullable(Type.String({ description: 'Whose things it may see. Null: of all.' })),
  name: Name,
  environment: Environment,
  scopes: Scopes,
  hint: Type.String({
    description: 'Its beginning, to know it again.',
    examples: ['ph_live_2Vq7'],
  }),
  created_at: Timestamp,
  expires_at: nullable(Timestamp),
  last_used_at: nullable({ ...Timestamp, description: 'To within a minute.' }),
  revoked_at: nullable(Timestamp),
});

/** Who may ask what. Only who may do everything gives keys. */
export const keyRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db } },
) => {
  app.post(
    '/v1/keys',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'createKey',
        summary: 'Create a key',
        description:
          'The answer shows it, this once: what is stored is its SHA-256. A key is of one tenant; with the scope `admin` it is of all.',
        tags: ['keys'],
        body: Type.Object(
          {
            scopes: Scopes,
            tenant: Type.Optional({
              ...Tenant,
              description: `Whose things it may see. Left out: ${DEFAULT_TENANT}.`,
            }),
            name: Type.Optional(Name),
            environment: Type.Optional(Environment),
            expires_at: Type.Optional(
              nullable({ ...Timestamp, description: 'From then on it is refused. Null: never.' }),
            ),
          },
          { additionalProperties: false, examples: [{ scopes: ['send', 'read'], name: 'shop' }] },
        ),
        response: {
          201: described(
            'The key. Keep it: it is never shown again.',
            Type.Object({
              ...Key.properties,
              key: Type.String({
                description: 'For the header Authorization: Bearer <key>.',
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
      const key = await createKey(db, {
        tenant: tenantOf(scopes, request.body.tenant),
        name,
        environment,
        scopes: [...new Set(scopes)],
        expiresAt: readExpiry(expires_at),
      });
      if (key === undefined) throw notFound('tenant', request.body.tenant ?? DEFAULT_TENANT);
      return reply.code(201).send(key as never);
    },
  );

  app.get(
    '/v1/keys',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'listKeys',
        summary: 'List the keys that were not revoked, by id',
        tags: ['keys'],
        querystring: Type.Object(
          {
            tenant: Type.Optional({ ...Tenant, description: 'Of this tenant alone.' }),
            ...PageQuery,
          },
          { additionalProperties: false },
        ),
        response: {
          200: described(
            'A page. The next one is in next_cursor and in the Link header.',
            Type.Object({ data: Type.Array(Key), next_cursor: nullable(Type.String()) }),
          ),
          ...problems(400, 401),
        },
      },
    },
    async (request, reply) => {
      const { tenant, cursor, limit = DEFAULT_LIMIT } = request.query;
      const after = cursor === undefined ? 0 : Number(readCursor(cursor, [CURSOR_ID])[0]);
      const rows = await listKeys(db, { tenant, after, limit: limit + 1 });
      const data = rows.slice(0, limit);
      const last = data.at(-1);
      const next = rows.length > limit && last !== undefined ? writeCursor([last.id]) : null;
      if (next !== null) linkNext(request, reply, next);
      return reply.send({ data, next_cursor: next } as never);
    },
  );

  app.delete(
    '/v1/keys/:key_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'revokeKey',
        summary: 'Revoke a key',
        description: 'For good. Every process refuses it within a second.',
        tags: ['keys'],
        params: Type.Object({ key_id: KeyId }),
        response: { 200: described('The key as it was.', Key), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => {
      const { key_id: id } = request.params;
      const key = await revokeKey(db, id);
      if (key === undefined) throw notFound('key', id);
      return reply.send(key as never);
    },
  );
};

/** @throws Problem (400) for a key that would be of one tenant and of all. */
function tenantOf(scopes: readonly Scope[], tenant: string | undefined): string | null {
  if (!scopes.includes('admin')) return tenant ?? DEFAULT_TENANT;
  if (tenant === undefined) return null;
  throw invalidField(
    'body.tenant',
    'must be left out with the scope admin, which is of all tenants; give manage, send and read for one',
  );
}

/** @throws Problem (400) for a time that has passed: such a key would never have worked. */
function readExpiry(text: string | null): Date | null {
  if (text === null) return null;
  const expiresAt = new Date(text);
  if (expiresAt.getTime() > Date.now()) return expiresAt;
  throw invalidField('body.expires_at', 'has passed; give a time that is to come');
}
