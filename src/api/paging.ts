import type { FastifyReply, FastifyRequest } from 'fastify';
import { Type } from 'typebox';
import { invalidField } from './problems.ts';
import { isStorable } from './storable.ts';

export const DEFAULT_LIMIT = 100;

/** The query parameters of every list. */
export const PageQuery = {
  limit: Type.Optional(
    Type.Integer({
      minimum: 1,
      maximum: 1000,
      default: DEFAULT_LIMIT,
      description: 'The most rows that a page has.',
    }),
  ),
  cursor: Type.Optional(
    Type.String({
      maxLength: 500,
      description:
        'Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.',
    }),
  ),
};

/** Writes a position in a list as a cursor, which is opaque to clients. */
export function writeCursor(position: readonly (string | number)[]): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** Checks that Postgres accepts a part of a position. A RegExp is a CursorShape. */
interface CursorShape {
  test(part: string): boolean;
}

/**
 * Reads a cursor back.
 *
 * @param shapes the shape of each part of the position.
 * @throws Problem (400) for a cursor that this list did not write.
 */
export function readCursor(cursor: string, shapes: readonly CursorShape[]): string[] {
  let position: unknown;
  try {
    position = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
  } catch {
    position = undefined;
  }
  const fits =
    Array.isArray(position) &&
    position.length === shapes.length &&
    shapes.every((shape, index) => {
      const part: unknown = (position as unknown[])[index];
      return (typeof part === 'string' || typeof part === 'number') && shape.test(String(part));
    });
  if (!fits)
    throw invalidField(
      'query.cursor',
      'is not a cursor of this list; take it from next_cursor or the Link header of the page before',
    );
  return (position as unknown[]).map(String);
}

export const CURSOR_UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** A Postgres `integer`. */
export const CURSOR_ID: CursorShape = {
  test: (part) => /^\d{1,10}$/.test(part) && Number(part) <= 2_147_483_647,
};
export const CURSOR_BIGINT = /^\d{1,18}$/;
/** An id in any form that Postgres can store. */
export const CURSOR_TEXT: CursorShape = {
  test: (part) => part.length <= 256 && isStorable(part),
};
/** A moment, in microseconds since 1970. */
export const CURSOR_MICROSECONDS = /^\d{1,16}$/;

/** Sets the Link header to the next page (RFC 8288), with the request's other parameters. */
export function linkNext(request: FastifyRequest, reply: FastifyReply, cursor: string): void {
  const [path = '', query = ''] = request.url.split('?');
  const parameters = new URLSearchParams(query);
  parameters.set('cursor', cursor);
  reply.header('link', `<${path}?${parameters}>; rel="next"`);
}

/** Returns the cursor of the next page and sets the Link header; null after the last page. */
export function nextPage(
  request: FastifyRequest,
  reply: FastifyReply,
  position: readonly (string | number)[] | null,
): string | null {
  if (position === null) return null;
  const cursor = writeCursor(position);
  linkNext(request, reply, cursor);
  return cursor;
}
