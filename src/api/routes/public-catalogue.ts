import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox';
import { Type } from 'typebox';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import { Problem } from '../problems.ts';
import { described, problems } from '../schemas/common.ts';
import type { ApiServices } from '../services.ts';

/** The event types that the setting makes public, for everybody. The page /catalogue shows them. */
export const publicCatalogueRoutes: FastifyPluginAsyncTypebox<{ services: ApiServices }> = async (
  app,
  { services: { publicCatalogue, settings } },
) => {
  app.get(
    '/v1/catalogue',
    {
      config: { scope: 'open' },
      schema: {
        operationId: 'getPublicCatalogue',
        summary: 'Get the public event types as an OpenAPI document',
        description: `As GET /v1/event-types/openapi.json, but without a key, and only the event types of the tenant \`${DEFAULT_TENANT}\` that POSTHORN_PUBLIC_CATALOGUE names. Without that setting there is no public catalogue. The page /catalogue shows it to people. The answer has an ETag; send it as If-None-Match.`,
        tags: ['event types'],
        response: {
          200: described('The OpenAPI document.', Type.Object({}, { additionalProperties: true })),
          304: described('The document has not changed.', Type.Null()),
          ...problems(404),
        },
      },
    },
    async (request, reply) => {
      if (settings.publicCatalogue === undefined)
        throw new Problem(
          'not-found',
          'This service has no public catalogue. Its operator can set POSTHORN_PUBLIC_CATALOGUE.',
        );
      const { plain, gzipped, etag } = await publicCatalogue.get();
      const { 'if-none-match': known = '', 'accept-encoding': accepted = '' } = request.headers;
      reply.headers({
        etag,
        // Caches keep it, and ask each time whether it has changed: a type that is no longer public is gone at once.
        'cache-control': 'public, no-cache',
        vary: 'accept-encoding',
      });
      if (matches(known, etag)) return reply.code(304).send(null);
      reply.type('application/json; charset=utf-8');
      if (!/\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))/i.test(String(accepted)))
        return reply.send(plain as unknown as Record<string, never>);
      return reply
        .header('content-encoding', 'gzip')
        .send(gzipped as unknown as Record<string, never>);
    },
  );
};

/** Compares as RFC 9110, 13.1.2 says: weakly, with each of the list, or with any. */
function matches(ifNoneMatch: string, etag: string): boolean {
  const opaque = (tag: string) => tag.trim().replace(/^W\//, '');
  return ifNoneMatch.split(',').some((tag) => tag.trim() === '*' || opaque(tag) === opaque(etag));
}
