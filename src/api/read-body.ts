import { errorCodes, type FastifyRequest } from 'fastify';
import { freeBuffer } from '../lib/free-buffer.ts';
import { noRoomForBody } from './plugins/body-memory.ts';
import { Problem } from './problems.ts';

const EMPTY: Buffer = Buffer.alloc(0);

/**
 * Reads a body into one buffer of its size, with the limit of its route, fastify's errors, and the memory that there is
 * for bodies (plugins/body-memory.ts). fastify's own parser collects chunks and joins them at the end, and so holds a body
 * twice.
 *
 * @throws FastifyError, Problem
 */
export function readBody(request: FastifyRequest, payload: NodeJS.ReadableStream): Promise<Buffer> {
  const limit = request.routeOptions.bodyLimit;
  const declared = request.headers['content-length'];
  const length = declared === undefined ? undefined : Number(declared);
  if (length !== undefined && length > limit)
    return Promise.reject(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
  return new Promise((resolve, reject) => {
    let body = EMPTY;
    let received = 0;

    function take(chunk: Buffer): void {
      const before = received;
      received += chunk.length;
      if (received > limit) {
        end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
      } else if (request.bodyMemory?.take(chunk.length) === false) {
        end(noRoomForBody(request));
      } else if (length !== undefined && received > length) {
        end(new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH());
      } else if (before === 0 && (length === undefined || received === length)) {
        // Nearly all bodies come in one chunk, which Node allocated for this request alone.
        body = chunk;
      } else {
        if (received > body.length) makeRoom(before);
        chunk.copy(body, before);
        freeBuffer(chunk);
      }
    }

    function makeRoom(before: number): void {
      const larger = Buffer.allocUnsafeSlow(length ?? Math.min(limit, 2 * received));
      body.copy(larger, 0, 0, before);
      freeBuffer(body);
      body = larger;
    }

    function end(error?: Error & { statusCode?: number }): void {
      payload.off('data', take);
      payload.off('end', end);
      payload.off('error', end);
      if (error !== undefined) {
        // The client broke the request off, so this is a 4xx and no error of the service.
        if (!(error instanceof Problem) && (error.statusCode ?? 0) < 400) error.statusCode = 400;
        reject(error);
      } else if (length !== undefined && received !== length) {
        reject(new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH());
      } else {
        resolve(received === body.length ? body : body.subarray(0, received));
      }
    }

    payload.on('data', take);
    payload.on('end', end);
    payload.on('error', end);
  });
}
