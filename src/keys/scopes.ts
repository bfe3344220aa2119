/** What a key may do, from least to most. */
export const SCOPES = ['read', 'send', 'manage', 'admin'] as const;
export type Scope = (typeof SCOPES)[number];

/** The scopes that each scope is enough for. */
const COVERS: Readonly<Record<Scope, readonly Scope[]>> = {
  read: ['read'],
  send: ['send'],
  manage: ['manage', 'read'],
  admin: SCOPES,
};

/** Everything that these scopes allow: `manage` reads too, `admin` may do all. */
export function allowedBy(scopes: readonly Scope[]): ReadonlySet<Scope> {
  return new Set(scopes.flatMap((scope) => COVERS[scope]));
}
