import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/**
 * Of undici, what is needed here. All of it, with its fetch, caches and mocks, is 12 MiB of memory
 * more. The version is pinned, and a path that is no longer there fails every test of deliveries.
 */
export const Agent: typeof import('undici').Agent = require('undici/lib/dispatcher/agent.js');
export const buildConnector: typeof import('undici').buildConnector =
  require('undici/lib/core/connect.js');
export const errors: typeof import('undici').errors = require('undici/lib/core/errors.js');
