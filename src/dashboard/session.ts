import { signal } from '@preact/signals';
import { createSession, deleteSession, getSession, type Session } from './api/client.ts';
import { ApiError, keepToPortalOf, refusal } from './api/request.ts';

/** The session of this browser; undefined: not known yet. */
export const session = signal<Session | undefined>(undefined);

/** Reads the session. */
export async function readSession(): Promise<void> {
  session.value = await getSession();
  const { portal, tenant } = session.value;
  if (portal !== null && tenant !== null) keepToPortalOf(tenant);
  if (isOpen(session.value)) refusal.value = null;
}

/**
 * Signs in with a key, which the browser does not keep: it gets a cookie instead.
 *
 * @throws ApiError if the key is not valid.
 */
export async function signIn(key: string): Promise<void> {
  try {
    await createSession({ key });
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
  const { value } = session;
  // The screens go first, so that none of them is refused while the session ends.
  if (value !== undefined) session.value = { ...value, signed_in: false, required: true };
  try {
    await deleteSession();
  } finally {
    refusal.value = null;
    await readSession();
  }
}

/** True: the session may read. */
export function isOpen(session: Session): boolean {
  return session.signed_in || !session.required;
}

/** True: the session has that scope, so that what needs it is offered. The API checks it again. */
export function may(scope: 'read' | 'send' | 'manage' | 'admin'): boolean {
  return session.value?.scopes.includes(scope) ?? false;
}

/** True: the session shows the screen. A portal may have fewer screens; the API refuses what the others need. */
export function shows(screen: string): boolean {
  const screens: readonly string[] | undefined = session.value?.portal?.screens;
  return screens === undefined || screens.includes(screen.split('/')[0] || 'overview');
}

/** True: the session may change event types. In a portal, customers only read them. */
export function mayChangeTypes(): boolean {
  return may('manage') && (session.value?.portal ?? null) === null;
}

/** True: the error is about the session, and the sign-in screen shows it. */
export function isAboutSession(error: unknown): boolean {
  return error instanceof ApiError && error.status === 401;
}
