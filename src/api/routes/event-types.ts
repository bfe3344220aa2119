import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import {
  changeEventTypeSettings,
  createEventType,
  deleteEventType,
  getEventType,
  getEventTypeSettings,
  listEventTypes,
  TooManyEventTypesError,
  updateEventType,
} from '../../event-types/store.ts';
import { createEventTypeJudge, writeFields } from '../judge-event-type.ts';
import { addListRoute, readPageBy } from '../list-route.ts';
import { invalidField, notFound, Problem } from '../problems.ts';
import {
  described,
  EventType as EventTypeName,
  problems,
  SentEventType,
} from '../schemas/common.ts';
import {
  EVENT_TYPE_FIELDS,
  EventType,
  EventTypeSettings,
  EventTypeSettingsChange,
} from '../schemas/event-type.ts';
import type { ApiServices } from '../services.ts';

const Params = Type.Object({ event_type: EventTypeName });
/** No event type can have one of these names, because /v1/event-types/{name} is another route. The table refuses them too. */
export const RESERVED_NAMES: ReadonlySet<string> = new Set(['import', 'openapi.json']);
const CURSOR_NAME = /^[A-Za-z0-9_.-]{1,128}$/;

/** The types of webhooks that a tenant sends, described for those who receive them. */
export const eventTypeRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services },
) => {
  const { db, eventTypes } = services;
  const judge = createEventTypeJudge(services);

  app.post(
    '/v1/event-types',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'createEventType',
        summary: 'Register an event type',
        tags: ['event types'],
        body: Type.Object(
          { name: SentEventType, ...EVENT_TYPE_FIELDS },
          {
            additionalProperties: false,
            examples: [
              {
                name: 'order.created',
                description: 'Somebody buys.',
                schema: {
                  type: 'object',
                  required: ['id'],
                  properties: { id: { type: 'integer' } },
                },
                example: { id: 7 },
              },
            ],
          },
        ),
        response: {
          201: described('The event type.', EventType),
          ...problems(400, 401, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { tenant } = request;
      const { name, description } = request.body;
      if (RESERVED_NAMES.has(name))
        throw invalidField(
          'body.name',
          `cannot be "${name}", because /v1/event-types/${name} is another route; choose another name`,
        );
      const { schema = null, example = null } = writeFields(request.body);
      await app.outsideTurn(request, () => judge({ tenant, name, schema, example }, 'body'));
      const fields = { description, schema, example };
      const type = await conflictIfTooMany(() => createEventType(db, tenant, name, fields));
      if (type === undefined)
        throw new Problem(
          'conflict',
          `The event type ${name} already exists; change it with PATCH.`,
        );
      eventTypes.forget(request.tenant);
      reply.header('location', `/v1/event-types/${name}`);
      return reply.code(201).send(type);
    },
  );

  addListRoute(app, {
    path: '/v1/event-types',
    scope: 'read',
    operationId: 'listEventTypes',
    summary: 'List the event types, by name',
    tag: 'event types',
    page: 'A page of event types.',
    filters: {
      archived: Type.Optional({
        ...Type.Unsafe<'true' | 'false'>({ type: 'string', enum: ['true', 'false'] }),
        description:
          'true: only archived event types. false: only event types that are not archived. Left out: all.',
      }),
    },
    row: EventType,
    cursor: [CURSOR_NAME],
    read({ tenant, filters, limit, after = [] }) {
      const archived = filters.archived === undefined ? undefined : filters.archived === 'true';
      return readPageBy(
        limit,
        (limit) => listEventTypes(db, tenant, { after: after[0], archived, limit }),
        ({ name }) => [name],
      );
    },
  });

  app.get(
    '/v1/event-types/:event_type',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getEventType',
        summary: 'Get an event type',
        tags: ['event types'],
        params: Params,
        response: { 200: described('The event type.', EventType), ...problems(400, 401, 404) },
      },
    },
    async (request, reply) => {
      const { event_type: name } = request.params;
      const type = await getEventType(db, request.tenant, name);
      if (type === undefined) throw notFound('event type', name);
      return reply.send(type);
    },
  );

  app.patch(
    '/v1/event-types/:event_type',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'updateEventType',
        summary: 'Change or archive an event type',
        description: 'Fields that are left out do not change.',
        tags: ['event types'],
        params: Params,
        body: Type.Object(
          { ...EVENT_TYPE_FIELDS, archived: Type.Optional(Type.Boolean()) },
          { additionalProperties: false, minProperties: 1, examples: [{ archived: true }] },
        ),
        response: {
          200: described('The event type as it is now.', EventType),
          ...problems(400, 401, 404, 409, 413, 415),
        },
      },
    },
    async (request, reply) => {
      const { event_type: name } = request.params;
      const { tenant } = request;
      const { description, archived } = request.body;
      const written = writeFields(request.body);
      if (written.schema !== undefined || written.example !== undefined) {
        const stored = await getEventType(db, tenant, name);
        if (stored === undefined) throw notFound('event type', name);
        const { schema = null, example = null } = {
          schema: stored.schema && JSON.stringify(stored.schema),
          example: stored.example === null ? null : JSON.stringify(stored.example),
          ...written,
        };
        await app.outsideTurn(request, () => judge({ tenant, name, schema, example }, 'body'));
      }
      const change = { description, archived, ...written };
      const type = await conflictIfTooMany(() => updateEventType(db, tenant, name, change));
      if (type === undefined) throw notFound('event type', name);
      eventTypes.forget(request.tenant);
      return reply.send(type);
    },
  );

  app.delete(
    '/v1/event-types/:event_type',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'deleteEventType',
        summary: 'Delete an event type',
        description: 'Webhooks of this type that were already sent are not affected.',
        tags: ['event types'],
        params: Params,
        response: {
          200: described(
            'The event type is deleted.',
            Type.Object({ deleted: Type.Literal(true) }),
          ),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => {
      const { event_type: name } = request.params;
      if (!(await deleteEventType(db, request.tenant, name))) throw notFound('event type', name);
      eventTypes.forget(request.tenant);
      return { deleted: true as const };
    },
  );

  app.get(
    '/v1/event-type-settings',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getEventTypeSettings',
        summary: 'Get the settings for event types',
        tags: ['event types'],
        response: {
          200: described(
            'The settings of this tenant. Both are false until they are changed.',
            EventTypeSettings,
          ),
          ...problems(401),
        },
      },
    },
    async (request) => await getEventTypeSettings(db, request.tenant),
  );

  app.patch(
    '/v1/event-type-settings',
    {
      config: { scope: 'manage' },
      schema: {
        operationId: 'updateEventTypeSettings',
        summary: 'Change the settings for event types',
        tags: ['event types'],
        body: EventTypeSettingsChange,
        response: {
          200: described('The settings as they are now.', EventTypeSettings),
          ...problems(400, 401, 413, 415),
        },
      },
    },
    async (request) => {
      const settings = await changeEventTypeSettings(db, request.tenant, request.body);
      eventTypes.forget(request.tenant);
      return settings;
    },
  );
};

/** @throws Problem (409) where the work throws TooManyEventTypesError. */
export async function conflictIfTooMany<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof TooManyEventTypesError)) throw error;
    throw new Problem('conflict', `${error.message}; delete event types that are no longer sent.`);
  }
}
