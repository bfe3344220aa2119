import createFetchClient, { type Client } from 'openapi-fetch';
import { Webhook } from 'standardwebhooks';
import type { components, paths } from './api.d.ts';
import { PosthornError } from './errors.ts';
import { type Filters, type ListPath, type Row, rowsOf } from './pages.ts';
import { createRetryingFetch, type RetryOptions } from './retries.ts';

export type { components, paths } from './api.d.ts';
export { PosthornError, type Problem } from './errors.ts';
export type { Filters, ListPath, Row } from './pages.ts';

/** A webhook to send, as `POST /v1/webhooks` takes it. */
export type NewWebhook =
  paths['/v1/webhooks']['post']['requestBody']['content']['application/json'];
export type AcceptedWebhook = components['schemas']['AcceptedWebhook'];

export interface PosthornOptions extends Partial<RetryOptions> {
  /** Where Posthorn is, as in `https://webhooks.example.com`. */
  readonly url: string;
  /** A key of Posthorn; without it, requests have no `Authorization`. */
  readonly key?: string;
  /** Another `fetch` than that of the platform. */
  readonly fetch?: typeof globalThis.fetch;
}

export interface Posthorn {
  /** Every route, typed: `api.GET('/v1/subscriptions/{subscription_id}', { params: { path: { subscription_id: 7 } } })`. */
  readonly api: Client<paths>;
  /**
   * Sends a webhook to all subscriptions that want its type. It has an idempotency key, so it is repeated without
   * being accepted twice.
   *
   * @param options.idempotencyKey a key of your own, by which also a later call is no second webhook; 24 hours.
   * @throws PosthornError
   */
  send(
    webhook: NewWebhook,
    options?: { readonly idempotencyKey?: string; readonly tenant?: string },
  ): Promise<AcceptedWebhook>;
  /**
   * Iterates over all rows of a list: `for await (const row of posthorn.list('/v1/deliveries', { state: 'failed' }))`.
   *
   * @throws PosthornError
   */
  list<Path extends ListPath>(
    path: Path,
    filters?: Filters<Path>,
  ): AsyncGenerator<Row<Path>, void, undefined>;
}

const DEFAULTS: RetryOptions = { attempts: 4, waitMs: 250, timeoutMs: 30_000 };

/** Creates a client of a running Posthorn. */
export function createPosthorn({ url, key, fetch, ...retries }: PosthornOptions): Posthorn {
  const api = createFetchClient<paths>({
    baseUrl: url,
    ...(key === undefined ? {} : { headers: { authorization: `Bearer ${key}` } }),
    fetch: createRetryingFetch({ ...DEFAULTS, ...retries }, fetch ?? globalThis.fetch),
  });
  return {
    api,
    send: (webhook, { idempotencyKey = crypto.randomUUID(), tenant } = {}) =>
      dataOf(
        api.POST('/v1/webhooks', {
          body: webhook,
          params: {
            header: { 'idempotency-key': idempotencyKey },
            query: tenant === undefined ? {} : { tenant },
          },
        }),
      ),
    list: <Path extends ListPath>(path: Path, filters?: Filters<Path>) =>
      rowsOf<Row<Path>>(async (cursor) => {
        // The types of one path cannot be told from those of all of them here.
        const get = api.GET as (path: Path, init: object) => Promise<Answered<never>>;
        return await dataOf(get(path, { params: { query: { ...filters, cursor } } }));
      }),
  };
}

interface Answered<Data> {
  readonly data?: Data;
  readonly error?: unknown;
  readonly response: Response;
}

/**
 * Returns the data of an answer: `await dataOf(posthorn.api.GET('/v1/stats'))`.
 *
 * @throws PosthornError for an answer that is an error.
 */
export async function dataOf<Data>(asking: Promise<Answered<Data>>): Promise<Data> {
  const { data, error, response } = await asking;
  if (response.ok) return data as Data;
  throw new PosthornError(
    response.status,
    typeof error === 'string' ? error : JSON.stringify(error ?? null),
  );
}

/**
 * Verifies a webhook that was received, and returns its body, parsed. The official library of Standard Webhooks does it:
 * one of the signatures must be right, and the webhook at most five minutes old.
 *
 * @param secret the secret of the subscription, `whsec_…`.
 * @param body the bytes that were received. Parsed and serialized again, they may differ.
 * @throws Error for a webhook that is not from there.
 */
export function verifyWebhook(
  secret: string,
  body: string | Uint8Array,
  headers: Readonly<Record<string, string | readonly string[] | undefined>> | Headers,
): unknown {
  const given = headers instanceof Headers ? Object.fromEntries(headers) : headers;
  const single = Object.entries(given).flatMap(([name, value]) =>
    typeof value === 'string' ? [[name.toLowerCase(), value] as const] : [],
  );
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  return new Webhook(secret).verify(text, Object.fromEntries(single));
}
