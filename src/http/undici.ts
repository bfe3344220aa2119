import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * The part of undici that is used here. All of undici, with fetch, caches and mocks, takes 12 MiB more memory.
 * The version is pinned, and if the path no longer exists, every test of deliveries fails.
 */
export const buildConnector: typeof import('undici').buildConnector =
  require('undici/lib/core/connect.js');
