/** The screens of the portal, by the names that the API and the pages use. */
export const PORTAL_SCREENS = [
  'overview',
  'webhooks',
  'subscriptions',
  'problems',
  'event-types',
  'tasks',
] as const;
export type PortalScreen = (typeof PORTAL_SCREENS)[number];

export const PORTAL_ACCESS = ['read', 'manage'] as const;
export type PortalAccess = (typeof PORTAL_ACCESS)[number];

export const THEME_MODES = ['light', 'dark', 'auto'] as const;

/** How the portal looks. */
export interface Theme {
  /** An image as a `data:` URL. */
  readonly logo: string | null;
  /** The colour of buttons and links, as #rrggbb. */
  readonly accent: string | null;
  /** The colour behind the logo, as #rrggbb. */
  readonly header: string | null;
  /** `auto`: as the browser's user prefers. */
  readonly mode: (typeof THEME_MODES)[number];
}

/** What a tenant stores about its portal. */
export interface PortalSettings extends Partial<Theme> {
  /** The origins whose pages may embed the portal. */
  readonly origins?: string[];
}

/** What a link to the portal gives: stored with the link, then with the session. */
export interface PortalGrant {
  readonly access: PortalAccess;
  readonly screens: readonly PortalScreen[];
  /** Instead of what the tenant stores. */
  readonly theme?: Partial<Theme>;
}

/** A session in a tenant's portal. */
export interface Portal extends Omit<PortalGrant, 'theme'> {
  readonly tenant: string;
  /** The name of the tenant. */
  readonly name: string | null;
  readonly theme: Theme;
}

const PLAIN: Theme = { logo: null, accent: null, header: null, mode: 'auto' };

/** Returns how a portal looks: by its link, else by its tenant, else plain. */
export function themeOf(settings: PortalSettings | null, grant: PortalGrant): Theme {
  const { origins: _, ...ofTenant } = settings ?? {};
  return { ...PLAIN, ...ofTenant, ...grant.theme };
}
