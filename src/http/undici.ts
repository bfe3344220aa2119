import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * Of undici, what is needed here. All of it, with its fetch, caches and mocks, is 12 MiB of memory
 * more. The version is pinned, and a path that is no longer there fails every test of deliveries.
 */
export const buildConnector: typeof import('undici').buildConnector =
  require('undici/lib/core/connect.js');
