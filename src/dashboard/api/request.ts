import { signal } from '@preact/signals';
import { tenantOfUrl } from '../lib/tenant.ts';
import { isPortal } from '../lib/urls.ts';
import type { Problem } from './client.ts';

export interface RequestOptions {
  readonly signal?: AbortSignal;
}

interface Given extends RequestOptions {
  readonly query?: object;
  readonly body?: unknown;
  /** The route is about one tenant: the request names the one that the page's URL names. */
  readonly ofTenant?: boolean;
}

/** Why the API last refused the session (401), which the sign-in screen shows; null: it did not. */
export const refusal = signal<string | null>(null);

/** How old the rows of a replica may be, in seconds; null: no answer of the last 20 seconds was read from one. */
export const replicaAge = signal<number | null>(null);
let forgetAge: ReturnType<typeof setTimeout> | undefined;
const AGE_SHOWN_MS = 20_000;

/** A replica that is older is not read, so after this time it shows what this page has changed. */
const OLDEST_REPLICA_MS = 30_000;
let changedAt = Number.NEGATIVE_INFINITY;

function noteAge(age: string | null): void {
  if (age === null) return;
  replicaAge.value = Number(age);
  clearTimeout(forgetAge);
  forgetAge = setTimeout(() => {
    replicaAge.value = null;
  }, AGE_SHOWN_MS);
}

let portalTenant: string | undefined;

/**
 * Sends further requests for this tenant's portal only: if another tenant's is opened in this browser, the API refuses
 * them, and this page does not show the other tenant.
 */
export function keepToPortalOf(tenant: string): void {
  portalTenant = encodeURIComponent(tenant);
}

/** The headers by which the service knows that a request comes from this page, and whose session it has. */
export function sessionHeaders(): Record<string, string> {
  return {
    // A page of another site cannot send this header without asking first.
    'x-posthorn-csrf': '1',
    ...(isPortal() ? { 'x-posthorn-portal': portalTenant ?? '1' } : {}),
  };
}

/** Notes that the API refused the session, if it did: the screens then go. */
export function refuse(status: number, problem: Partial<Problem>): void {
  if (status === 401) refusal.value = new ApiError(status, problem).message;
}

/** An answer that is an error, or no answer at all. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  /** The HTTP status; 0: there was no answer. */
  readonly status: number;
  readonly title: string;
  /** What is wrong with each field, by its name without `body.` or `query.`. */
  readonly fields: Readonly<Record<string, string>>;
  /** How long the service asks to wait before the next try. */
  readonly retryAfterMs: number | null;

  constructor(status: number, problem: Partial<Problem>, retryAfter: string | null = null) {
    super(problem.detail ?? problem.title ?? `The service answered with status ${status}.`);
    this.status = status;
    this.title = problem.title ?? 'The request failed';
    this.fields = Object.fromEntries(
      (problem.errors ?? []).map(({ field, message }) => [
        field.replace(/^(?:body|query|params)\./, ''),
        message,
      ]),
    );
    this.retryAfterMs = retryAfter === null ? null : Number(retryAfter) * 1000 || null;
  }

  /** True: the same request may succeed a little later, without a change by the user. */
  get passes(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

/** A connection that is silently lost would leave a request open for minutes. */
const READ_TIMEOUT_MS = 30_000;
const TIMEOUT_MS = 60_000;

const NO_ANSWER = {
  title: 'Posthorn does not answer',
  detail: 'The page cannot reach the service. It tries again by itself.',
};

/**
 * Sends a request to the API with the session's cookie. The functions of `client.ts` call it.
 *
 * @throws ApiError if the answer is an error, or if there is none.
 */
export async function request<Answer>(
  method: string,
  path: string,
  { query, body, ofTenant = false, signal }: Given,
): Promise<Answer> {
  let response: Response;
  let text: string;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), method === 'GET' ? READ_TIMEOUT_MS : TIMEOUT_MS);
  try {
    response = await fetch(`${path}${queryOf(query, ofTenant)}`, {
      method,
      credentials: 'same-origin',
      headers: {
        ...sessionHeaders(),
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(performance.now() - changedAt < OLDEST_REPLICA_MS
          ? { 'cache-control': 'no-cache' }
          : {}),
      },
      body: body === undefined ? null : JSON.stringify(body),
      signal: signal === undefined ? late.signal : AbortSignal.any([signal, late.signal]),
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError(0, NO_ANSWER);
  } finally {
    clearTimeout(timer);
  }
  const answer = parse(text);
  if (method !== 'GET') changedAt = performance.now();
  noteAge(response.headers.get('age'));
  if (response.ok) return answer as Answer;
  const error = new ApiError(
    response.status,
    (answer ?? {}) as Partial<Problem>,
    response.headers.get('retry-after'),
  );
  refuse(error.status, (answer ?? {}) as Partial<Problem>);
  throw error;
}

function queryOf(query: object | undefined, ofTenant: boolean): string {
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== '') parameters.set(name, String(value));
  }
  const tenant = tenantOfUrl();
  if (ofTenant && tenant !== null && !parameters.has('tenant')) parameters.set('tenant', tenant);
  const text = parameters.toString();
  return text === '' ? '' : `?${text}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
