import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { invalidField } from './problems.ts';

export const DEFAULT_LIMIT = 100;

/** The query parameters of every list. */
export const PageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: DEFAULT_LIMIT,
      description: 'Rows on a page.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      maxLength: 500,
      description: 'Where the next page begins: take it from the Link header.',
    }),
  ),
};

/** Writes a position in a list as a cursor, which means nothing to whoever carries it. */
export function writeCursor(position: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/**
 * Reads a cursor back.
 *
 * @param shapes what each of its parts must look like.
 * @throws Problem (400) for a cursor that this list did not write.
 */
export function readCursor(cursor: string, shapes: readonly RegExp[]): string[] {
  let position: unknown;
  try {
    position = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    position = undefined;
  }
  const fits =
    Array.isArray(position) &&
    position.length === shapes.length &&
    shapes.every((shape, index) => shape.test(String((position as unknown[])[index])));
  if (!fits)
    throw invalidField(
      'query.cursor',
      'is not a cursor of this list; take it from the Link header',
    );
  return (position as unknown[]).map(String);
}

export const CURSOR_UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
export const CURSOR_INTEGER = /^\d{1,18}$/;
export const CURSOR_TIMESTAMP = /^\d{4,6}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d{1,6})?[+-]\d\d(:\d\d)?$/;

/** Points to the next page (RFC 8288), keeping the request's other parameters. */
export function linkNext(request: FastifyRequest, reply: FastifyReply, cursor: string): void {
  const [path = '', query = ''] = request.url.split('?');
  const parameters = new URLSearchParams(query);
  parameters.set('cursor', cursor);
  reply.header('link', `<${path}?${parameters}>; rel="next"`);
}
