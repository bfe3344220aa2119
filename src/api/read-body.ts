import { errorCodes, type FastifyRequest } from 'fastify';
import { freeBuffer } from '../lib/free-buffer.ts';

const EMPTY: Buffer = Buffer.alloc(0);

type Done = (error: Error | null, body?: Buffer) => void;

/**
 * Creates a content type parser that reads a body into one buffer of its size, with fastify's limits and
 * errors. fastify's own parser collects chunks and joins them at the end, and so holds a body twice.
 *
 * @param limit the body limit of the routes, in bytes.
 */
export function bodyReader(limit: number) {
  return (request: FastifyRequest, payload: NodeJS.ReadableStream, done: Done): void =>
    readBody(request, payload, limit, done);
}

function readBody(
  request: FastifyRequest,
  payload: NodeJS.ReadableStream,
  limit: number,
  done: Done,
): void {
  const declared = request.headers['content-length'];
  const length = declared === undefined ? undefined : Number(declared);
  if (length !== undefined && length > limit) {
    done(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
    return;
  }
  let body = EMPTY;
  let received = 0;

  function take(chunk: Buffer): void {
    const before = received;
    received += chunk.length;
    if (received > limit) {
      end(new errorCodes.FST_ERR_CTP_BODY_TOO_LARGE());
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
      if ((error.statusCode ?? 0) < 400) error.statusCode = 400;
      done(error);
    } else if (length !== undefined && received !== length) {
      done(new errorCodes.FST_ERR_CTP_INVALID_CONTENT_LENGTH());
    } else {
      done(null, received === body.length ? body : body.subarray(0, received));
    }
  }

  payload.on('data', take);
  payload.on('end', end);
  payload.on('error', end);
}
