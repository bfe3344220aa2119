/**
 * The only file that imports undici, and that relies on its insides: a path within the package, and options
 * that its types lack. The version is pinned, and `test/http/undici.test.ts` names the part that an upgrade
 * has changed.
 */
import type { LookupAddress, LookupOptions } from 'node:dns';
import { createRequire } from 'node:module';
import type { buildConnector } from 'undici';

const require = createRequire(import.meta.url);

/** Where to connect to. */
export type Target = buildConnector.Options;
/** Called once, with the socket when it is connected (after TLS), or with the error. */
export type Connected = buildConnector.Callback;
/** Makes a connection. undici's returns the socket at once, before it is connected. */
export type Connector = (target: Target, callback: Connected) => unknown;

export type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address?: string | LookupAddress[],
  family?: number,
) => void;

/** Options of a connector. */
export interface ConnectorSettings {
  /** The longest time for connecting, TLS included, in milliseconds. */
  readonly timeout: number;
  /** Resolves names. undici passes it on to `net.connect` and `tls.connect`, which call it before they return. */
  readonly lookup?: (hostname: string, options: LookupOptions, callback: LookupCallback) => void;
}

/**
 * Makes connections without HTTP/2. All of undici, with fetch, caches and mocks, takes 12 MiB more memory, so
 * only this part is loaded.
 */
export function createUndiciConnector(settings: ConnectorSettings): Connector {
  const build: typeof buildConnector = require('undici/lib/core/connect.js');
  const options = { ...settings, allowH2: false } as buildConnector.BuildOptions;
  return build(options);
}
