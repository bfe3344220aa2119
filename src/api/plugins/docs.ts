import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { Settings } from '../../config.ts';
import { VERSION } from '../../version.ts';
import type { Needed } from './auth.ts';

/** The OpenAPI 3.1 document at `/api/docs/json` and Swagger UI at `/api/docs/`. */
export async function registerDocs(app: FastifyInstance, settings: Settings): Promise<void> {
  await app.register(swagger, {
    transform: ({ schema, url, route }) => ({
      schema: settings.authRequired ? withKeyNeeded(schema, route.config?.scope) : schema,
      url,
    }),
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Posthorn',
        version: VERSION,
        description:
          'Webhook delivery that needs nothing but Postgres. Hand a webhook in; it is stored, delivered signed, retried with growing delays, and every attempt is logged.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      tags: [
        { name: 'subscriptions', description: 'URLs that want webhooks.' },
        { name: 'ingest', description: 'Handing webhooks in.' },
        { name: 'history', description: 'What became of them.' },
        { name: 'service', description: 'Whether all is well.' },
      ],
      ...(settings.authRequired
        ? {
            components: { securitySchemes: { adminKey: { type: 'http', scheme: 'bearer' } } },
            security: [{ adminKey: [] }],
          }
        : {}),
    },
  });
  await app.register(async (scope) => {
    // The pages show what the API is, never what is in it: they need no key.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'open' };
    });
    await scope.register(swaggerUi, {
      routePrefix: '/api/docs',
      staticCSP: true,
      // Everything comes from here. Upgrading to https would break plain http on a private network.
      transformStaticCSP: (header) =>
        header
          .replace(' upgrade-insecure-requests;', '')
          .replaceAll(/ (?:https:|validator\.swagger\.io)/g, ''),
      uiConfig: { docExpansion: 'list', tryItOutEnabled: true, defaultModelsExpandDepth: -1 },
      theme: { title: 'Posthorn API' },
    });
  });
}

/** Says where the document's `security`, which is the key, is not what a route asks for. */
function withKeyNeeded(schema: FastifySchema, scope: Needed | undefined): FastifySchema {
  if (scope !== 'open' && scope !== 'own') return schema;
  // Such a route takes other proof too; an empty object in the list means that it may be without.
  return { ...schema, security: scope === 'open' ? [] : [{ adminKey: [] }, {}] } as FastifySchema;
}
