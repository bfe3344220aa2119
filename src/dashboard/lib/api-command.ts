import { session } from '../session.ts';
import { curlOf } from './curl.ts';
import { shownTenant } from './tenant.ts';

/** Writes a request to this API as a command line for curl, for the tenant of the page. */
export function apiCommand(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  path: string,
  body?: object,
): string {
  const url = new URL(path, location.origin);
  const tenant = shownTenant.value;
  if (tenant !== null) url.searchParams.set('tenant', tenant);
  return curlOf({
    ...(method === 'GET' || (method === 'POST' && body !== undefined) ? {} : { method }),
    url: url.href,
    headers: {
      ...(session.value?.required ? { authorization: 'Bearer <key>' } : {}),
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
}
