// The settings of a process as texts that may be shown to its operator.
import { type HostWithUrl, hostsAsText, readConnectionString } from '../db/hosts.ts';

/** What is known of a setting without its reader. */
export interface KnownSetting {
  /** The default, as text. */
  readonly fallback: string | undefined;
  readonly meaning: string;
  /** Returns the part of the text that may be shown; null: none of it. */
  readonly show: (text: string) => string | null;
}

/** Where the text of a setting comes from. */
export const SETTING_SOURCES = ['environment', '.env', 'default'] as const;

/** A setting, as it is in force. */
export interface SettingInForce {
  readonly name: string;
  /** Null: the setting is not set and has no default, or its text is secret. */
  readonly value: string | null;
  /** Null: there is no default. */
  readonly default: string | null;
  readonly source: (typeof SETTING_SOURCES)[number];
  /** The whole text, or a part of it such as a password, is not shown. */
  readonly is_secret: boolean;
  readonly meaning: string;
}

export const asItIs = (text: string): string => text.trim();
export const neverShown = (): null => null;

/** Shows the scheme, host, port and path of a URL: no user, no password, and no parameters, which may be passwords. */
export function withoutCredentials(text: string): string | null {
  const url = URL.parse(text.trim());
  // A password that contains / or ? ends the host too early, so that a part of the password looks like a path.
  if (url === null || (text.includes('@') && url.username === '') || url.pathname.includes('@'))
    return null;
  return `${url.protocol}//${url.host}${url.pathname === '/' ? '' : url.pathname}`;
}

/** Does the same for the URL of a database, which may name several hosts. A URL that cannot be read is not shown. */
export function databaseWithoutCredentials(text: string): string | null {
  let hosts: readonly HostWithUrl[];
  try {
    hosts = readConnectionString(text).hosts;
  } catch {
    return null;
  }
  const [first, ...others] = hosts.map(({ url }) => withoutCredentials(url));
  if (first == null || others.length === 0) return first ?? null;
  const { protocol, pathname } = new URL(first);
  return `${protocol}//${hostsAsText(hosts)}${pathname}`;
}

/**
 * Lists all settings.
 *
 * @param given the texts that are set, from the environment and from `.env`.
 * @param env the environment.
 */
export function listInForce(
  settings: Readonly<Record<string, KnownSetting>>,
  given: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
): SettingInForce[] {
  return Object.entries(settings).map(([name, { fallback = null, meaning, show }]) => {
    const text = given[name];
    return {
      name,
      value: text === undefined ? fallback : show(text),
      default: fallback,
      source: text === undefined ? 'default' : text === env[name] ? 'environment' : '.env',
      is_secret: show !== asItIs,
      meaning,
    };
  });
}
