import { createHash } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import type { Idempotency } from '../intake/accept.sql.ts';
import { invalidField } from './problems.ts';

const HEADER = 'idempotency-key';

/** The header, for the documents of routes that take it. */
export const IdempotencyKeyHeader = {
  [HEADER]: Type.Optional(
    Type.String({
      maxLength: 600,
      description:
        'Makes it safe to send again (draft-ietf-httpapi-idempotency-key-header): the same request under the same key is accepted once, and answered the same for 24 hours, then with `idempotent-replayed: true`. Any 1 to 255 characters, such as a UUID; may stand in double quotes.',
      examples: ['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
    }),
  ),
};

/**
 * What a request says of its idempotency. A string of Structured Fields (RFC 9651 section 3.3.3),
 * as the draft has it, is the same key as the bare text in it, as many send it.
 *
 * The request is its path and the bytes of its body: whoever sends again sends the same bytes.
 *
 * @returns null when it has no key.
 * @throws Problem (400) for what cannot be a key.
 */
export function readIdempotency(request: FastifyRequest, body: Buffer): Idempotency | null {
  const given = request.headers[HEADER];
  if (given === undefined) return null;
  const key = typeof given === 'string' ? unquote(given) : null;
  if (key === null || !/^[\x20-\x7e]{1,255}$/.test(key)) {
    throw invalidField(
      `headers.${HEADER}`,
      'must be 1 to 255 characters of ASCII that can be seen, such as a UUID, bare or in double quotes',
    );
  }
  const fingerprint = createHash('sha256')
    .update(`${request.method} ${request.url.split('?', 1)[0]}\n`)
    .update(body)
    .digest();
  return { key, fingerprint };
}

/** Says that the answer is that of an earlier request. */
export function markReplayed(reply: FastifyReply): void {
  reply.header('idempotent-replayed', 'true');
}

function unquote(text: string): string | null {
  if (!text.startsWith('"')) return text;
  const match = /^"((?:[^"\\]|\\["\\])*)"$/.exec(text);
  return match === null ? null : (match[1] as string).replaceAll(/\\(["\\])/g, '$1');
}
