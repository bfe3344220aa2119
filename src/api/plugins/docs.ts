import helmet from '@fastify/helmet';
import swagger from '@fastify/swagger';
import swaggerUi from '@fastify/swagger-ui';
import type { FastifyInstance, FastifySchema } from 'fastify';
import type { Settings } from '../../config/settings.ts';
import { VERSION } from '../../version.ts';
import type { Needed } from './access.ts';
import { DOCS_LOOK } from './docs-look.ts';
import { completeDocument, type OpenApiDocument } from './document.ts';

/** The hash, as browsers report it, of a style that the bundle of Swagger UI adds to the page. */
const SWAGGER_UI_STYLE = "'sha256-RL3ie0nH+Lzz2YNqQN83mnU0J1ot4QL7b99vMdIX99w='";
export const HSTS_SECONDS = 180 * 86_400;

/** The OpenAPI 3.1 document at `/api/docs/json` and Swagger UI at `/api/docs/`. */
export async function registerDocs(app: FastifyInstance, settings: Settings): Promise<void> {
  await app.register(swagger, {
    transform: ({ schema, url, route }) => ({
      schema: withScope(schema, route.config?.scope, settings.authRequired),
      url,
    }),
    transformObject: (made) => {
      const { openapiObject } = made as unknown as { openapiObject: OpenApiDocument };
      return completeDocument(openapiObject);
    },
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Posthorn',
        version: VERSION,
        description:
          'Webhook delivery that needs nothing but Postgres. Send a webhook: Posthorn stores it, signs it, delivers it, retries with growing delays, and records every attempt.',
        license: { name: 'MIT', identifier: 'MIT' },
      },
      servers: [{ url: '/', description: 'This service.' }],
      tags: [
        {
          name: 'subscriptions',
          description: 'URLs of receivers, and the webhooks that each gets.',
        },
        { name: 'ingest', description: 'Sending webhooks.' },
        {
          name: 'history',
          description: 'Webhooks that were accepted, their deliveries and the attempts made.',
        },
        {
          name: 'pull',
          description: 'Webhooks for receivers that get them by requests of their own.',
        },
        {
          name: 'event types',
          description: 'Descriptions and schemas of the webhooks that are sent.',
        },
        {
          name: 'tasks',
          description: 'Changes to many deliveries, which the workers make in batches.',
        },
        {
          name: 'tenants',
          description: 'Tenants own subscriptions, event types, webhooks, deliveries and keys.',
        },
        {
          name: 'keys',
          description: 'Keys authenticate requests and limit them to a tenant and scopes.',
        },
        { name: 'watches', description: 'Tables whose changes are sent as webhooks.' },
        { name: 'service', description: 'Checks and metrics of the service itself.' },
      ],
      components: {
        securitySchemes: {
          bearerAuth: {
            type: 'http',
            scheme: 'bearer',
            description:
              'A key from /v1/keys, or the admin key. Each operation names the scope that it needs.',
          },
        },
      },
    },
  });
  await app.register(async (scope) => {
    // The pages describe the API and show no data, so they need no key.
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'open' };
    });
    // swagger-ui sets its own Content-Security-Policy, below.
    await scope.register(helmet, {
      contentSecurityPolicy: false,
      // Browsers heed this over https only. Not for subdomains, which may be other services.
      strictTransportSecurity: { maxAge: HSTS_SECONDS, includeSubDomains: false },
    });
    await scope.register(swaggerUi, {
      routePrefix: '/api/docs',
      staticCSP: true,
      // All files come from this server. Upgrading to https would break plain http on a private network.
      transformStaticCSP: (header) =>
        header
          .replace(' upgrade-insecure-requests;', '')
          .replaceAll(/ (?:https:|validator\.swagger\.io)/g, '')
          .replace("style-src 'self'", `style-src 'self' ${SWAGGER_UI_STYLE}`),
      uiConfig: { docExpansion: 'list', tryItOutEnabled: true, defaultModelsExpandDepth: -1 },
      ...DOCS_LOOK,
    });
  });
}

/**
 * Adds the scope of a route to its schema. An empty object in the list makes the key optional: for routes
 * that accept a signature instead, and if no key is required at all.
 */
function withScope(
  schema: FastifySchema,
  scope: Needed | undefined,
  authRequired: boolean,
): FastifySchema {
  const needed = scope === undefined || scope === 'open' ? [] : [{ bearerAuth: [scopeOf(scope)] }];
  const optional = scope === 'own' || !authRequired;
  return {
    ...schema,
    security: needed.length > 0 && optional ? [...needed, {}] : needed,
  } as FastifySchema;
}

/** The routes that check access themselves are those of /ingest, which need `send`. */
function scopeOf(scope: Needed): string {
  return scope === 'own' ? 'send' : scope;
}
