/**
 * Of `node:http`, what is needed here. An `import` of it would look up all its names, and some of
 * them (`WebSocket`) load an undici of Node's own: 17 MiB of memory for nothing.
 */
export const { STATUS_CODES, createServer, request, validateHeaderName, validateHeaderValue } =
  process.getBuiltinModule('node:http');
