import type { FastifyInstance, RouteOptions } from 'fastify';
import { Problem } from '../problems.ts';

/**
 * Answers 405 for methods that a known path does not support. It adds routes for them, because only the
 * router can tell paths apart. Call `close` when all other routes are added.
 */
export function watchMethods(app: FastifyInstance): { close(): void } {
  const known = new Map<string, { route: RouteOptions; methods: Set<string> }>();
  let open = true;
  app.addHook('onRoute', (route) => {
    if (!open) return;
    // The router ignores a slash at the end.
    const url = route.url.replace(/(?<=.)\/$/, '');
    const { methods } = known.get(url) ?? { methods: new Set() };
    for (const method of [route.method].flat()) methods.add(method);
    known.set(url, { route, methods });
  });
  return {
    close() {
      open = false;
      for (const [url, { route, methods }] of known) {
        const allow = [...methods].sort().join(', ');
        app.route({
          url,
          method: app.supportedMethods.filter((method) => !methods.has(method)),
          exposeHeadRoute: false,
          schema: { hide: true } as object,
          // The same access as the path's routes, so that clients without access do not learn its methods.
          config: route.config ?? {},
          // Before the body is read, since its type may be wrong too.
          onRequest: async (request) => {
            throw new Problem(
              'method-not-allowed',
              `${url} supports ${allow}, not ${request.method}.`,
              {
                headers: { allow },
              },
            );
          },
          handler: () => {},
        });
      }
    },
  };
}
