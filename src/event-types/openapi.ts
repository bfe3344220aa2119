import { isObject } from '../lib/objects.ts';

/** An event type as an OpenAPI document describes it. */
export interface DescribedEventType {
  readonly name: string;
  readonly description: string | null;
  readonly schema: Record<string, unknown> | null;
  readonly example: unknown;
}

/** What of a document cannot be read, and where. */
export class OpenApiError extends Error {
  override readonly name = 'OpenApiError';
  /** Such as `webhooks.order.created`. */
  readonly place: string;

  constructor(place: string, message: string) {
    super(message);
    this.place = place;
  }
}

type Json = Record<string, unknown>;

/**
 * Reads the event types out of the `webhooks` of an OpenAPI 3.1 document: for each its POST's
 * summary or description, and the schema and the example of its JSON body. Schemas that are referred
 * to (`#/components/schemas/…`) come with those that refer to them.
 *
 * A body that is described as the envelope that goes over the wire, `{"type", "timestamp", "data"}`,
 * stands for its `data`.
 *
 * @throws OpenApiError naming what cannot be read.
 */
export function readWebhooks(document: Json): DescribedEventType[] {
  if (typeof document.openapi !== 'string' || !/^3\.[1-9]/.test(document.openapi))
    throw new OpenApiError('openapi', 'must be "3.1.0" or a later version 3, which have webhooks');
  if (!isObject(document.webhooks) || Object.keys(document.webhooks).length === 0)
    throw new OpenApiError('webhooks', 'must have one webhook or more, by their event types');
  return Object.entries(document.webhooks).map(([name, item]) => {
    const place = `webhooks.${name}`;
    const { post } = followed(document, item, place);
    if (!isObject(post)) throw new OpenApiError(place, 'must have a post, which is how it is sent');
    const { summary, description, requestBody } = post;
    const text = [description, summary].find((one) => typeof one === 'string') ?? null;
    const about = { name, description: text as string | null };
    if (requestBody === undefined) return { ...about, schema: null, example: null };
    const { content } = followed(document, requestBody, `${place}.post.requestBody`);
    const json = isObject(content) ? content['application/json'] : undefined;
    if (!isObject(json)) return { ...about, schema: null, example: null };
    return { ...about, ...readBody(document, json, `${place}.post.requestBody`) };
  });
}

function readBody(document: Json, media: Json, place: string) {
  const example = exampleOf(document, media, place);
  if (!isObject(media.schema)) return { schema: null, example };
  const body = followed(document, media.schema, place);
  const { type, timestamp, data } = isObject(body.properties) ? body.properties : ({} as Json);
  const wrapped = type !== undefined && timestamp !== undefined && isObject(data);
  const shown = example ?? (Array.isArray(body.examples) ? body.examples[0] : body.example) ?? null;
  return {
    schema: bundled(document, (wrapped ? data : media.schema) as Json, place),
    example: wrapped && isObject(shown) ? (shown.data ?? null) : shown,
  };
}

function exampleOf(document: Json, media: Json, place: string): unknown {
  if (media.example !== undefined) return media.example;
  const [first] = Object.values(isObject(media.examples) ? media.examples : {});
  return first === undefined ? null : (followed(document, first, place).value ?? null);
}

/** An object, or what it refers to. */
function followed(document: Json, value: unknown, place: string): Json {
  const seen = new Set<unknown>();
  let found = value;
  while (isObject(found) && typeof found.$ref === 'string') {
    if (seen.has(found)) throw new OpenApiError(place, `refers to itself by ${found.$ref}`);
    seen.add(found);
    found = referredTo(document, found.$ref, place);
  }
  if (!isObject(found)) throw new OpenApiError(place, 'must be an object');
  return found;
}

function referredTo(document: Json, reference: string, place: string): unknown {
  if (!reference.startsWith('#/'))
    throw new OpenApiError(place, `refers to ${reference}; only what begins with #/ is followed`);
  let found: unknown = document;
  for (const part of reference.slice(2).split('/')) {
    const name = unescapePointer(part);
    found = isObject(found) && Object.hasOwn(found, name) ? found[name] : undefined;
  }
  if (found === undefined)
    throw new OpenApiError(place, `refers to ${reference}, which is not there`);
  return found;
}

/** RFC 6901 within a URI's fragment. */
function unescapePointer(part: string): string {
  let text = part;
  try {
    text = decodeURIComponent(part);
  } catch {
    // Then it stands for itself.
  }
  return text.replaceAll('~1', '/').replaceAll('~0', '~');
}

const COMPONENT = /^#\/components\/schemas\/([^/]+)(.*)$/;

/** The schema with all that it refers to in `$defs`, so that it stands alone. */
function bundled(document: Json, schema: Json, place: string): Json {
  const definitions: Json = {};
  function copy(value: unknown): unknown {
    if (Array.isArray(value)) return value.map(copy);
    if (!isObject(value)) return value;
    return Object.fromEntries(
      Object.entries(value).map(([name, member]) => [
        name,
        name === '$ref' && typeof member === 'string' ? moved(member) : copy(member),
      ]),
    );
  }
  function moved(reference: string): string {
    const [, part = '', rest = ''] = COMPONENT.exec(reference) ?? [];
    if (part === '') return reference;
    const name = unescapePointer(part);
    if (!Object.hasOwn(definitions, name)) {
      // Before its parts are copied, which may refer to it.
      definitions[name] = true;
      definitions[name] = copy(referredTo(document, `#/components/schemas/${part}`, place));
    }
    return `#/$defs/${part}${rest}`;
  }
  const whole = copy(schema) as Json;
  if (Object.keys(definitions).length === 0) return whole;
  return { ...whole, $defs: { ...(isObject(whole.$defs) ? whole.$defs : {}), ...definitions } };
}
