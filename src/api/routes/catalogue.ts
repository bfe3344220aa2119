import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { describeCatalogue } from '../../event-types/catalogue.ts';
import { readCatalogue } from '../../event-types/store.ts';
import { described, problems } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

/** The event types of a tenant as a document, for those who receive its webhooks. */
export const catalogueRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { db } },
) => {
  app.get(
    '/v1/event-types/openapi.json',
    {
      config: { scope: 'read' },
      schema: {
        operationId: 'getEventTypesDocument',
        summary: 'Get the event types as an OpenAPI document',
        description:
          'An OpenAPI 3.1 document whose `webhooks` are the event types that are not archived, with their schemas and examples, and the headers by which receivers verify the signature. It has nothing else of the tenant, so it can be given to customers, and to tools that generate code or pages from it.',
        tags: ['event types'],
        response: {
          200: described('The OpenAPI document.', Type.Object({}, { additionalProperties: true })),
          ...problems(400, 401, 404),
        },
      },
    },
    async (request) => describeCatalogue(await readCatalogue(db, request.tenant)),
  );
};
