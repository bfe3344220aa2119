/**
 * The functions of `node:http` that are used here. An `import` would evaluate all its exports, and some of
 * them (`WebSocket`) load Node's own undici: 17 MiB of memory for nothing.
 */
export const {
  Agent,
  STATUS_CODES,
  createServer,
  request,
  validateHeaderName,
  validateHeaderValue,
} = process.getBuiltinModule('node:http');
