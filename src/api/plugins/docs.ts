import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { VERSION } from '../../version.ts';
import type { Needed } from './access.ts';
import { completeDocument, type OpenApiDocument } from './document.ts';

const HSTS_SECONDS = 180 * 86_400;

/** The OpenAPI 3.1 document at `/api/docs/json` and Swagger UI at `/api/docs/`. */
export async function registerDocs(app: FastifyInstance, settings: Settings): Promise<void> {
  await app.register(swagger, {
    transform: ({ schema, url, route }) => ({
      schema: withScope(schema, route.config?.scope, settings.authRequired),
      url,
    }),
    transformObject: (made) => {
      const { openapiObject } = made as unknown as { openapiObject: OpenApiDocument };
      return completeDocument(openapiObject) as never;
    },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Posthorn',
        version: VERSION,
        description:
          'Webhook delivery that needs nothing but Postgres. Hand a webhook in; it is stored, delivered signed, retried with growing delays, and every attempt is logged.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This service.' }],
      tags: [
        { name: 'tenants', description: 'Whose things they are.' },
        { name: 'keys', description: 'Who may ask what.' },
        { name: 'subscriptions', description: 'URLs that want webhooks.' },
        { name: 'event types', description: 'What is sent, described for those who receive it.' },
        { name: 'ingest', description: 'Handing webhooks in.' },
        { name: 'history', description: 'What became of them.' },
        { name: 'tasks', description: 'Work on many deliveries, done in batches by the workers.' },
        { name: 'service', description: 'Whether all is well.' },
      ],
      components: {
        securitySchemes: {
          key: {
            type: 'http',
            scheme: 'bearer',
            description:
              'A key of /v1/keys, or the admin key. Each operation names the scope that it needs.',
          },
        },
      },
    },
  });
  await app.register(async (scope) => {
    // The pages show what the API is, never what is in it: they need no key.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'open' };
    });
    // What the pages may load, swagger-ui says itself, below.
    await scope.register(helmet, {
      contentSecurityPolicy: false,
      // Heeded over https alone; for this host alone, since nothing is known of its neighbours.
      strictTransportSecurity: { maxAge: HSTS_SECONDS, includeSubDomains: false },
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

/**
 * Says which scope a route needs. An empty object in the list means that it may be without a key: for
 * one that takes other proof, and where none is asked for.
 */
function withScope(
  schema: FastifySchema,
  scope: Needed | undefined,
  authRequired: boolean,
): FastifySchema {
  const needed = scope === undefined || scope === 'open' ? [] : [{ key: [scopeOf(scope)] }];
  const optional = scope === 'own' || !authRequired;
  return {
    ...schema,
    security: needed.length > 0 && optional ? [...needed, {}] : needed,
  } as FastifySchema;
}

/** What checks for itself hands webhooks in. */
function scopeOf(scope: Needed): string {
  return scope === 'own' ? 'send' : scope;
}
