import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { cancelDeleted } from '../../bulk-operations/delete.ts';
import { randomDigits } from '../../keys/format.ts';
import { formatDuration, parseDuration } from '../../lib/duration.ts';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import {
  createTenant,
  deleteTenant,
  getTenant,
  listTenants,
  type Tenant as TenantRow,
  updateTenant,
} from '../../tenants/store.ts';
import { CURSOR_TEXT } from '../cursor.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import { described, named, nullable, problems, TenantId, Timestamp } from '../schemas/common.ts';
import { PortalSettingsSchema } from '../schemas/portal.ts';
import { Deleted, Metadata } from '../schemas/subscription.ts';
import { TenantParams } from '../schemas/tenant.ts';
import type { ApiServices } from '../services.ts';

/** The number of random digits in a generated id. */
const GENERATED_LENGTH = 20;
const MIN_RETENTION_MS = 3_600_000;
const MAX_RETENTION_MS = 3650 * 86_400_000;

const Name = nullable(Type.String({ maxLength: 200 }));

const Retention = nullable(
  Type.String({
    maxLength: 20,
    description:
      'How long the bodies of its webhooks and the answers of receivers are kept: 1h to 3650d. It can shorten POSTHORN_PAYLOAD_RETENTION, not lengthen it. Null: POSTHORN_PAYLOAD_RETENTION applies.',
    examples: ['7d'],
  }),
);

const Portal = {
  ...PortalSettingsSchema,
  description:
    'The origins that may embed the portal of the tenant, and its appearance. The object replaces the earlier one. Null: no origin may embed it, and it looks like the dashboard.',
};

const Tenant = named('Tenant', {
  id: Type.String(),
  name: Name,
  metadata: Metadata,
  retention: Retention,
  portal: Portal,
  created_at: Timestamp,
  updated_at: Timestamp,
});

/** Tenants, which own subscriptions, webhooks, deliveries and keys. */
export const tenantRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db, pool, tenants } },
) => {
  app.post(
    '/v1/tenants',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'createTenant',
        summary: 'Create a tenant',
        description:
          'Give an id, or leave it out to get a random one. An id is never used twice, even after the tenant is deleted.',
        tags: ['tenants'],
        body: Type.Object(
          {
            id: Type.Optional(TenantId),
            name: Type.Optional(Name),
            metadata: Type.Optional(Metadata),
            retention: Type.Optional(Retention),
            portal: Type.Optional(Portal),
          },
          { additionalProperties: false, examples: [{ id: 'acme', name: 'Acme Inc.' }] },
        ),
        response: { 201: described('The tenant.', Tenant), ...problems(400, 401, 409, 413, 415) },
      },
    },
    async (request, reply) => {
      const { id = generateTenantId(), retention, ...fields } = request.body;
      const tenant = await createTenant(db, {
        id,
        ...fields,
        retention_ms: readRetention(retention),
      });
      if (tenant === undefined) {
        throw new Problem(
          'conflict',
          (await getTenant(db, id)) === undefined
            ? `The tenant ${id} was deleted, and its id cannot be used again because its history may still exist. Choose another id.`
            : `The tenant ${id} already exists; change it with PATCH, or choose another id.`,
        );
      }
      reply.header('location', `/v1/tenants/${encodeURIComponent(id)}`);
      return reply.code(201).send(present(tenant));
    },
  );

  addListRoute(app, {
    path: '/v1/tenants',
    scope: 'admin',
    operationId: 'listTenants',
    summary: 'List the tenants, by id',
    tag: 'tenants',
    page: 'A page of tenants.',
    filters: {},
    row: Tenant,
    cursor: [CURSOR_TEXT],
    read: ({ limit, after = [] }) =>
      readPageBy(
        limit,
        async (limit) => (await listTenants(db, { after: after[0], limit })).map(present),
        ({ id }) => [id],
      ),
  });

  app.get(
    '/v1/tenants/:tenant_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'getTenant',
        summary: 'Get a tenant',
        tags: ['tenants'],
        params: TenantParams,
        response: { 200: described('The tenant.', Tenant), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => {
      const { tenant_id: id } = request.params;
      const tenant = await getTenant(db, id);
      if (tenant === undefined) throw notFound('tenant', id);
      return reply.send(present(tenant));
    },
  );

  app.patch(
    '/v1/tenants/:tenant_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'updateTenant',
        summary: 'Change a tenant',
        description: 'Fields that are left out do not change.',
        tags: ['tenants'],
        params: TenantParams,
        body: Type.Object(
          {
            name: Type.Optional(Name),
            metadata: Type.Optional(Metadata),
            retention: Type.Optional(Retention),
            portal: Type.Optional(Portal),
          },
          { additionalProperties: false, minProperties: 1, examples: [{ name: 'Acme Ltd.' }] },
        ),
        response: {
          200: described('The tenant as it is now.', Tenant),
          ...problems(400, 401, 404, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { tenant_id: id } = request.params;
      const { retention, ...fields } = request.body;
      const tenant = await updateTenant(db, id, {
        ...fields,
        retention_ms: readRetention(retention),
      });
      if (tenant === undefined) throw notFound('tenant', id);
      return reply.send(present(tenant));
    },
  );

  app.delete(
    '/v1/tenants/:tenant_id',
    {
      config: { scope: 'admin' },
      schema: {
        operationId: 'deleteTenant',
        summary: 'Delete a tenant',
        description:
          'Deletes its subscriptions, cancels their pending and held deliveries, and revokes its keys. Its history stays in the database until its retention ends, and its id cannot be used again. The tenant `default` cannot be deleted.',
        tags: ['tenants'],
        params: TenantParams,
        response: {
          200: described(
            'The tenant is deleted. The numbers say how many subscriptions, deliveries and keys were deleted, cancelled or revoked with it.',
            Type.Object({
              subscriptions: Type.Integer(),
              ...Deleted.properties,
              keys: Type.Integer(),
            }),
          ),
          ...problems(400, 401, 404, 409),
        },
      },
    },
    async (request) => {
      const { tenant_id: id } = request.params;
      if (id === DEFAULT_TENANT) {
        throw new Problem(
          'conflict',
          `The tenant ${DEFAULT_TENANT} cannot be deleted, because the routes outside of /v1 belong to it. Delete its subscriptions instead.`,
        );
      }
      const deleted = await deleteTenant(db, id);
      if (deleted === undefined) throw notFound('tenant', id);
      tenants.forget(id);
      const { task, ...gone } = deleted;
      const cancelled =
        task === undefined ? { cancelled: 0, task: null } : await cancelDeleted(pool, task);
      return { ...gone, ...cancelled };
    },
  );
};

/** Returns a random id for a tenant. */
export function generateTenantId(): string {
  return `tenant_${randomDigits(GENERATED_LENGTH)}`;
}

function present({ retention_ms, ...tenant }: TenantRow) {
  return { ...tenant, retention: retention_ms === null ? null : formatDuration(retention_ms) };
}

/** @throws Problem (400) unless the text is a duration within the limits. */
function readRetention(text: string | null | undefined): number | null | undefined {
  if (text === undefined || text === null) return text;
  try {
    const retentionMs = parseDuration(text);
    if (retentionMs >= MIN_RETENTION_MS && retentionMs <= MAX_RETENTION_MS) return retentionMs;
  } catch {
    // The message below is clearer: it says which durations are allowed here.
  }
  throw invalidField('body.retention', 'must be a duration from 1h to 3650d, such as 7d');
}
