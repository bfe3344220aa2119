import { signal } from '@preact/signals';
import { ApiError, refusal, request } from './api/request.ts';

/** What `GET /v1/session` answers. */
export interface Session {
  readonly signed_in: boolean;
  /** False: the API needs no key. */
  readonly required: boolean;
  /** The tenant of the key; null: all tenants. */
  readonly tenant: string | null;
  readonly scopes: readonly string[];
  readonly expires_at: string | null;
}

/** The session of this browser; undefined: not known yet. */
export const session = signal<Session | undefined>(undefined);

/** Reads the session. */
export async function readSession(): Promise<void> {
  session.value = await request<Session>('GET', '/v1/session', {});
  if (isOpen(session.value)) refusal.value = null;
}

/**
 * Signs in with a key, which the browser does not keep: it gets a cookie instead.
 *
 * @throws ApiError if the key is not valid.
 */
export async function signIn(key: string): Promise<void> {
  try {
    await request('POST', '/v1/session', { body: { key } });
  } catch (error) {
    // The form shows it.
    refusal.value = null;
    throw error;
  }
  refusal.value = null;
  await readSession();
}

/** Ends the session, here and in the database. */
export async function signOut(): Promise<void> {
  await request('DELETE', '/v1/session', {});
  refusal.value = null;
  await readSession();
}

/** True: the session may read. */
export function isOpen(session: Session): boolean {
  return session.signed_in || !session.required;
}

/** True: the session has that scope, so that what needs it is offered. The API checks it again. */
export function may(scope: 'read' | 'send' | 'manage' | 'admin'): boolean {
  const { value } = session;
  if (value === undefined) return false;
  if (!value.required && !value.signed_in) return true;
  return value.scopes.includes(scope) || value.scopes.includes('admin');
}

/** True: the error is about the session, and the sign-in screen shows it. */
export function isAboutSession(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}
