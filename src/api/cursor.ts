import { invalidField } from './problems.ts';
import { isStorable } from './storable.ts';

/** The place of a row in the order of a list: the values that the list is ordered by. */
export type Position = readonly (string | number)[];

/** Writes a position in a list as a cursor, which is opaque to clients. */
export function writeCursor(position: Position): string {
  return Buffer.from(JSON.stringify(position)).toString('base64url');
}

/** Checks that Postgres accepts a part of a position. A RegExp is a CursorShape. */
export interface CursorShape {
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
const CURSOR_BIGINT = /^\d{1,18}$/;
/** An id in any form that Postgres can store. */
export const CURSOR_TEXT: CursorShape = {
  test: (part) => part.length <= 256 && isStorable(part),
};
/** A moment, in microseconds since 1970. */
export const CURSOR_MICROSECONDS = /^\d{1,16}$/;
/** A position in a list of attempts: the time of the attempt and its id. */
export const ATTEMPT_CURSOR = [CURSOR_MICROSECONDS, CURSOR_BIGINT];
