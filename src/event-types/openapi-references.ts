import { isObject } from '../lib/objects.ts';
import { shortened } from './limits.ts';

/** Why a document cannot be read, and at which place. */
export class OpenApiError extends Error {
  override readonly name = 'OpenApiError';
  /** The place, such as `webhooks.order.created`; empty: the whole document. */
  readonly place: string;

  constructor(place: string, message: string) {
    super(message);
    this.place = shortened(place);
  }
}

export type Json = Record<string, unknown>;

/** The longest chain of `$ref`s that lead to each other. */
const MAX_CHAIN = 20;
const MAX_REFERENCE_LENGTH = 1000;

/**
 * Returns an object, or the object that its `$ref` leads to.
 *
 * @throws OpenApiError
 */
export function followed(document: Json, value: unknown, place: string): Json {
  let found = value;
  for (let followedRefs = 0; isObject(found) && typeof found.$ref === 'string'; followedRefs += 1) {
    if (followedRefs === MAX_CHAIN)
      throw new OpenApiError(
        place,
        `refers from one $ref to the next more than ${MAX_CHAIN} times, or to itself, at ${shortened(found.$ref)}`,
      );
    found = referredTo(document, found.$ref, place);
  }
  if (!isObject(found)) throw new OpenApiError(place, 'must be an object');
  return found;
}

/**
 * Returns the value that a reference within the document leads to.
 *
 * @throws OpenApiError
 */
export function referredTo(document: Json, reference: string, place: string): unknown {
  requireShort(reference, place);
  if (!reference.startsWith('#/'))
    throw new OpenApiError(
      place,
      `refers to ${shortened(reference)}; only references that begin with #/ are followed`,
    );
  let found: unknown = document;
  for (const part of reference.slice(2).split('/')) {
    const name = unescapePointer(part);
    // RFC 6901 section 4: an index of an array.
    found =
      (isObject(found) || Array.isArray(found)) && Object.hasOwn(found, name)
        ? (found as Json)[name]
        : undefined;
  }
  if (found === undefined)
    throw new OpenApiError(
      place,
      `refers to ${shortened(reference)}, which does not exist in the document`,
    );
  return found;
}

/** @throws OpenApiError when a reference is too long. */
export function requireShort(reference: string, place: string): void {
  if (reference.length > MAX_REFERENCE_LENGTH)
    throw new OpenApiError(
      place,
      `has a $ref of ${reference.length} characters; at most ${MAX_REFERENCE_LENGTH} are allowed`,
    );
}

/** RFC 6901 within a URI's fragment. */
export function unescapePointer(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // A malformed escape is taken literally.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}
