import { access } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import helmet from '@fastify/helmet';
import staticFiles from '@fastify/static';
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { packageFile } from '../../lib/package-files.ts';
import type { PortalLinks } from '../../sessions/portal-links.ts';
import { HSTS_SECONDS } from './docs.ts';
import { noSuchRoute } from './errors.ts';
import { readSessionToken } from './session-cookie.ts';

/** Where `npm run build:dashboard` writes the pages. */
export const PAGES_DIR = fileURLToPath(packageFile('dist/dashboard'));

/** Everything comes from this service, and nothing is inline. A logo may be in the page's data. */
const POLICY = {
  'default-src': ["'none'"],
  'script-src': ["'self'"],
  'style-src': ["'self'"],
  'img-src': ["'self'", 'data:'],
  'connect-src': ["'self'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
  'frame-ancestors': ["'none'"],
};
const NO_FRAMES = "frame-ancestors 'none'";

interface PagesOptions {
  /** Know who may embed the portal. */
  readonly portalLinks: Pick<PortalLinks, 'origins'>;
  /** True: there is a public catalogue. */
  readonly catalogue: boolean;
  /** Has `index.html`, `catalogue.html`, and `assets/` with a hash in each name and compressed copies (.br, .gz) beside. */
  readonly dir?: string;
}

const NOT_BUILT = 'The dashboard is not built. Run: npm run build:dashboard\n';

/**
 * Serves the pages of the dashboard and the portal: `/` for browsers, `/dashboard/…` and `/portal/…` for each screen, the
 * public catalogue at `/catalogue`, and the files that they load under `/dashboard/assets/`. The pages contain no data,
 * so they need no key; they get everything from the API.
 */
export async function registerPages(
  app: FastifyInstance,
  { portalLinks, catalogue, dir = PAGES_DIR }: PagesOptions,
): Promise<void> {
  await app.register(async (scope) => {
    scope.addHook('onRoute', (route) => {
      route.config = { ...route.config, scope: 'open' };
    });
    await scope.register(helmet, {
      contentSecurityPolicy: { useDefaults: false, directives: POLICY },
      frameguard: { action: 'deny' },
      // Browsers heed this over https only. Not for subdomains, which may be other services.
      strictTransportSecurity: { maxAge: HSTS_SECONDS, includeSubDomains: false },
    });
    await scope.register(staticFiles, {
      root: join(dir, 'assets'),
      prefix: '/dashboard/assets/',
      preCompressed: true,
      immutable: true,
      maxAge: '1y',
      index: false,
      dotfiles: 'ignore',
      suppressWarning: true,
    });
    scope.get('/', { schema: { hide: true } as object }, async (request, reply) => {
      // Programs go on getting the answer that points to the documentation.
      if (!wantsPage(request)) throw noSuchRoute(request);
      return await sendPage(reply);
    });
    for (const path of ['/dashboard', '/dashboard/*'])
      scope.get(path, { schema: { hide: true } as object }, (_request, reply) => sendPage(reply));
    if (catalogue)
      for (const path of ['/catalogue', '/catalogue/*'])
        scope.get(path, { schema: { hide: true } as object }, (_request, reply) =>
          sendPage(reply, 'catalogue.html'),
        );
    for (const path of ['/portal', '/portal/*'])
      scope.get(
        path,
        { config: { embeddable: true }, schema: { hide: true } as object },
        async (request, reply) => {
          allowFrames(reply, await originsOf(request));
          return await sendPage(reply);
        },
      );
  });

  /** Returns the origins that may embed a page of the portal: those of its link's tenant, or of its session's. */
  async function originsOf(request: FastifyRequest): Promise<readonly string[]> {
    const [, link] = /^\/portal\/enter\/([^/?]+)/.exec(request.url) ?? [];
    if (link !== undefined) return await portalLinks.origins({ link });
    const token = readSessionToken(app, request, 'portal');
    return token === undefined ? [] : await portalLinks.origins({ token });
  }

  async function sendPage(reply: FastifyReply, name = 'index.html'): Promise<FastifyReply> {
    try {
      await access(join(dir, name));
    } catch {
      return reply.code(503).type('text/plain; charset=utf-8').send(NOT_BUILT);
    }
    // It names the files of one build, so it must be asked for again.
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-cache');
    return reply.sendFile(name, dir, { cacheControl: false });
  }
}

/** Lets pages of these origins embed the page that is answered. */
function allowFrames(reply: FastifyReply, origins: readonly string[]): void {
  // Whose page it is depends on a cookie, so no cache may keep it.
  reply.header('cache-control', 'no-store');
  if (origins.length === 0) return;
  const policy = String(reply.getHeader('content-security-policy'));
  reply.removeHeader('x-frame-options');
  reply.header(
    'content-security-policy',
    policy.replace(NO_FRAMES, `frame-ancestors ${origins.join(' ')}`),
  );
}

/** Browsers name text/html when they open a page; other programs accept anything. */
function wantsPage({ headers: { accept = '' } }: FastifyRequest): boolean {
  return /\btext\/html\b/i.test(accept);
}
