import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Idempotency } from '../intake/accept.sql.ts';
import { invalidField } from './problems.ts';

const HEADER = 'idempotency-key';

/** The schema of the header, for routes that accept it. */
export const IdempotencyKeyHeader = {
  [HEADER]: Type.Optional(
    Type.String({
      maxLength: 600,
      description:
        'Makes it safe to send a request again (draft-ietf-httpapi-idempotency-key-header). A request that is repeated with the same key within 24 hours is accepted once; the repeats get the same answer, with the header `idempotent-replayed: true`. 1 to 255 printable ASCII characters, such as a UUID; double quotes around them are allowed.',
      examples: ['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
    }),
  ),
};

/**
 * Reads the idempotency key of a request. The draft asks for a string of Structured Fields (RFC 9651
 * section 3.3.3); many clients send the bare text, which is the same key.
 *
 * The fingerprint covers the path and the bytes of the body: a client that repeats a request sends the
 * same bytes.
 *
 * @returns null if the request has no key.
 * @throws Problem (400) for a key that is not valid.
 */
export function readIdempotency(request: FastifyRequest, body: Buffer): Idempotency | null {
  const header = request.headers[HEADER];
  if (header === undefined) return null;
  const key = typeof header === 'string' ? unquote(header) : null;
  if (key === null || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw invalidField(
      `headers.${HEADER}`,
      'must be 1 to 255 printable ASCII characters, such as a UUID, with or without double quotes',
    );
  }
  const fingerprint = createHash('sha256')
    .update(`${request.method} ${request.url.split('?', 1)[0]}\n`)
    .update(body)
    .digest();
  return { key, fingerprint };
}

/** Marks the answer as that of an earlier request with the same key. */
export function markReplayed(reply: FastifyReply): void {
  reply.header('idempotent-replayed', 'true');
}

function unquote(text: string): string | null {
  if (!text.startsWith('"')) return text;
  const match = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text);
  return match === null ? null : (match[1] as string).replaceAll(/\\(["\\])/g, '$1');
}
