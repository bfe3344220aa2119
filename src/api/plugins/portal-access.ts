import type { Access } from '../../keys/keyring.ts';
import { allowedBy } from '../../keys/scopes.ts';
import type { Portal, PortalScreen } from '../../sessions/portal.ts';

type Verb = 'GET' | 'POST' | 'PATCH' | 'DELETE';
/** A route, and those under it. */
type Routes = readonly [verb: Verb, route: string];

const READ_TYPES: Routes = ['GET', '/v1/event-types'];
const READ_DELIVERIES: readonly Routes[] = [
  ['GET', '/v1/webhooks'],
  ['GET', '/v1/deliveries'],
  ['GET', '/v1/attempts'],
  ['GET', '/v1/subscriptions'],
  ['GET', '/v1/stream'],
];
const RETRY: Routes = ['POST', '/v1/deliveries'];
const TASKS: readonly Routes[] = [
  ['GET', '/v1/tasks'],
  ['POST', '/v1/tasks'],
];

/**
 * The routes that each screen of the portal uses. A route that is not here is refused in every portal, so a new route
 * is not there by accident. Customers do not send, and do not change which event types there are.
 */
const ROUTES: Readonly<Record<PortalScreen, readonly Routes[]>> = {
  overview: [
    ['GET', '/v1/stats'],
    ['GET', '/v1/stream'],
  ],
  webhooks: [...READ_DELIVERIES, READ_TYPES, RETRY, ['POST', '/v1/webhooks/:webhook_id/cancel']],
  subscriptions: [
    ['GET', '/v1/subscriptions'],
    ['POST', '/v1/subscriptions'],
    ['PATCH', '/v1/subscriptions'],
    ['DELETE', '/v1/subscriptions'],
    ['POST', '/v1/filters'],
    ['GET', '/v1/stats'],
    READ_TYPES,
    ...TASKS,
  ],
  problems: [
    ['GET', '/v1/problems'],
    ...READ_DELIVERIES,
    RETRY,
    ['POST', '/v1/subscriptions/:subscription_id/recover'],
    ['POST', '/v1/subscriptions/:subscription_id/replay'],
    ...TASKS,
  ],
  'event-types': [READ_TYPES],
  tasks: TASKS,
};

/** Returns the access of a session in a portal: what its screens use, of one tenant. */
export function portalAccess({ tenant, access, screens }: Portal): Access {
  const routes = screens.flatMap((screen) => ROUTES[screen]);
  return {
    tenant,
    allowed: allowedBy([access]),
    keyId: 'portal',
    includes: (method, route) =>
      routes.some(
        ([verb, start]) =>
          verb === (method === 'HEAD' ? 'GET' : method) &&
          (route === start || route.startsWith(`${start}/`)),
      ),
  };
}
