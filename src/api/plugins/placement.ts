// Passes requests for tenants that live elsewhere on to their home. It is registered only if there is a directory.
import { setTimeout as sleep } from 'node:timers/promises';
import { errorCodes, type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { TENANT_CLOSED } from '../../intake/errors.ts';
import { hashKey, isKey } from '../../keys/format.ts';
import type { Keyring } from '../../keys/keyring.ts';
import { errorCode } from '../../lib/errors.ts';
import { createForwarder, type ForwardFailure, HOP_HEADER } from '../../placement/forward.ts';
import type { Placement } from '../../placement/placement.ts';
import type { SubscriptionCache } from '../../subscriptions/cache.ts';
import { DEFAULT_TENANT } from '../../tenants/default.ts';
import { outcomeUnknown, Problem, tenantMoves, unavailable } from '../problems.ts';
import { generateTenantId } from '../routes/tenants.ts';
import type { ApiServices } from '../services.ts';
import { namesTenant } from './access.ts';
import { type Identification, readBearer } from './identify.ts';

/** What a request is about. */
type Subject = (
  | { readonly tenant: string }
  /** A subscription that this home does not know, with an id of that home's range. */
  | { readonly home: string }
) & {
  /** True: only this home knows its credentials, so no other could answer it. */
  readonly known?: 'here';
};

/** How long a request waits for a tenant that moves, and how many requests may. */
const MOVE_WAIT_MS = 5_000;
const MOVE_POLL_MS = 50;
const MAX_WAITING = 500;
const MOVES_TYPE = tenantMoves().type;

/** Makes requests go to the home of their tenant. Before authentication: the key may be known there only. */
export function registerPlacement(
  app: FastifyInstance,
  identification: Identification,
  services: Pick<ApiServices, 'keyring' | 'subscriptions' | 'placement'>,
): void {
  const placement = services.placement as Placement;
  const { keyring, subscriptions } = services;
  const forwarder = createForwarder();
  app.addHook('onClose', async () => forwarder.stop());
  let waiting = 0;

  app.addHook('onRequest', (request, reply, done) => {
    if (request.is404 || request.routeOptions.config.scope === 'open') return done();
    serve(request, reply).then((isHere) => isHere && done(), done);
  });

  app.addHook('preHandler', async (request, reply) => {
    const subject = await subjectOfBody(request, placement);
    if (subject === null) return;
    const body = Buffer.from(JSON.stringify(request.body));
    // A hijacked answer ends the chain of hooks.
    await sendHome(request, reply, subject, body);
  });

  // The database knows better than this process: the tenant has left.
  app.addHook('onError', async (request, _reply, error) => {
    if (isClosed(error)) placement.expire(request.tenant);
  });

  async function serve(request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const subject = await explained(
      subjectOf(request, { placement, keyring, subscriptions, identification }),
    );
    return subject === null || (await sendHome(request, reply, subject));
  }

  /** Returns true if the request is to be served here, and false if another home answers it. */
  async function sendHome(
    request: FastifyRequest,
    reply: FastifyReply,
    subject: Subject,
    body?: Buffer,
  ): Promise<boolean> {
    const home = await homeOf(request, subject);
    if (home === placement.home) return true;
    const to = await explained(placement.named(home));
    if (to === null)
      throw unavailable(`The tenant lives at ${home}, and the directory has no such home.`);
    if (subject.known === 'here')
      throw new Problem(
        'misdirected',
        `The tenant lives at ${home}, ${to.apiUrl}, and this key or session is known here only. Sign in there, or use a key of the tenant or the admin key.`,
      );
    const hop = request.headers[HOP_HEADER];
    if (hop !== undefined)
      throw unavailable(
        `${hop} passed this request on to ${placement.home}, but the tenant lives at ${home}: the directory changed meanwhile. Nothing was done; send it again.`,
      );
    const result = await forwarder.pass(request.raw, reply.raw, {
      apiUrl: to.apiUrl,
      from: placement.home,
      maxBytes: request.routeOptions.bodyLimit,
      body,
    });
    if (result === 'too-large') throw new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE();
    if (typeof result === 'string') throw problemOf(result, home);
    reply.hijack();
    // It may have said that the tenant is not there.
    if (result === 503 && 'tenant' in subject) placement.expire(subject.tenant);
    return false;
  }

  /** Returns where the subject lives, after it has moved if it moves. */
  async function homeOf(request: FastifyRequest, subject: Subject): Promise<string> {
    if (!('tenant' in subject)) return subject.home;
    const { tenant } = subject;
    let placed = await explained(placement.ofTenant(tenant));
    if (placed !== null && placed.home !== placement.home && request.headers[HOP_HEADER]) {
      placement.expire(tenant);
      placed = await explained(placement.ofTenant(tenant));
    }
    if (placed?.home === placement.home && placed.moving && mayChange(request)) {
      if (waiting >= MAX_WAITING) throw tenantMoves();
      waiting += 1;
      try {
        const deadline = performance.now() + MOVE_WAIT_MS;
        while (placed?.moving && placed.home === placement.home) {
          if (performance.now() > deadline) throw tenantMoves();
          await sleep(MOVE_POLL_MS);
          placed = await explained(placement.ofTenant(tenant));
        }
      } finally {
        waiting -= 1;
      }
    }
    return placed?.home ?? placement.home;
  }
}

interface Finders {
  readonly placement: Placement;
  readonly keyring: Keyring;
  readonly subscriptions: SubscriptionCache;
  readonly identification: Identification;
}

/** Returns what a request is about as far as its head says it, or null: it is answered here. */
async function subjectOf(request: FastifyRequest, finders: Finders): Promise<Subject | null> {
  const { placement, keyring, subscriptions, identification } = finders;
  const { url = '', config } = request.routeOptions;
  if (url === '/ingest/:subscription_id') {
    const id = Number((request.params as { subscription_id: string }).subscription_id);
    if (!Number.isInteger(id) || id < 1 || id > 2_147_483_647) return null;
    const found = await subscriptions.get(id);
    return found === null ? await placement.ofSubscription(id) : { tenant: found.tenant };
  }
  if (config.scope === 'own') return null;
  const token = readBearer(request);
  if (token !== undefined && isKey(token)) {
    const hash = hashKey(token);
    const key = await keyring.find(hash);
    const tenant = key === null ? await placement.tenantOfKey(hash) : key.tenant;
    if (tenant !== null) return { tenant };
    return key === null ? null : namedIn(request, 'here');
  }
  // What is wrong with the request, authentication says.
  const access = await Promise.resolve()
    .then(() => identification.ofRequest(request))
    .catch(() => null);
  if (access === null) return null;
  const known = token === undefined && access.keyId !== null ? 'here' : undefined;
  return access.tenant === null
    ? namedIn(request, known)
    : { tenant: access.tenant, ...(known && { known }) };
}

/** Returns the tenant that a request with access to all tenants is about, or null: it is about this home. */
function namedIn(request: FastifyRequest, known: 'here' | undefined): Subject | null {
  const { url = '', config } = request.routeOptions;
  const named =
    (request.query as { tenant?: unknown }).tenant ??
    (request.params as { tenant_id?: unknown }).tenant_id;
  const tenant =
    named ?? (namesTenant({ url, config }) || !url.startsWith('/v1/') ? DEFAULT_TENANT : undefined);
  return typeof tenant === 'string' ? { tenant, ...(known && { known }) } : null;
}

/** Returns the tenant that the body of a request names, and places one that is to be created; null for other requests. */
async function subjectOfBody(
  { method, routeOptions: { url }, body, access }: FastifyRequest,
  placement: Placement,
): Promise<Subject | null> {
  if (method !== 'POST' || (url !== '/v1/tenants' && url !== '/v1/keys')) return null;
  const known =
    access?.keyId === null || access?.keyId === 'admin' ? {} : { known: 'here' as const };
  if (url === '/v1/keys') {
    const { tenant = DEFAULT_TENANT, scopes } = body as { tenant?: string; scopes: string[] };
    return scopes.includes('admin') ? null : { tenant, ...known };
  }
  const fields = body as { id?: string };
  fields.id ??= generateTenantId();
  await explained(placement.place(fields.id));
  return { tenant: fields.id, ...known };
}

/** Returns true for requests that may change something, or give out what is to be sent. */
function mayChange({ method, routeOptions: { config } }: FastifyRequest): boolean {
  return (method !== 'GET' && method !== 'HEAD') || config.scope === 'pull';
}

function isClosed(error: Error): boolean {
  return (
    errorCode(error) === TENANT_CLOSED || (error instanceof Problem && error.type === MOVES_TYPE)
  );
}

async function explained<T>(reading: Promise<T>): Promise<T> {
  try {
    return await reading;
  } catch (error) {
    if (error instanceof Problem) throw error;
    throw unavailable(
      'The directory cannot be read right now, and this process does not know where the tenant lives. Nothing was done; try again shortly.',
      error,
    );
  }
}

function problemOf(failure: Exclude<ForwardFailure, 'too-large'>, home: string): Problem {
  if (failure === 'unknown')
    return outcomeUnknown(
      `The tenant lives at ${home}, which did not answer. The request may have been carried out there. To make a webhook safe to send again, POST it to /v1/webhooks with an Idempotency-Key that is the same each time.`,
    );
  return unavailable(
    failure === 'away'
      ? `The tenant lives at ${home}, which cannot be reached right now. Nothing was done; try again shortly.`
      : `Too many requests wait for ${home}, where the tenant lives. Nothing was done; try again shortly.`,
  );
}
