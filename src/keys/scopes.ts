/** The scopes of keys, from least to most. */
export const SCOPES = ['read', 'send', 'pull', 'manage', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes that each scope includes. */
const COVERS: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  send: ['send'],
  pull: ['pull'],
  manage: ['manage', 'pull', 'read'],
  admin: SCOPES,
};

/** Returns all scopes that these include: `manage` includes `read` and `pull`, and `admin` includes all. */
export function allowedBy(scopes: readonly Scope[]): ReadonlySet<Scope> {
  return new Set(scopes.flatMap((scope) => COVERS[scope]));
}
