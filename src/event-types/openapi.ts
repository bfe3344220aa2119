import { isObject } from '../lib/objects.ts';
import { bundledSchema } from './bundled-schema.ts';
import {
  isDeeperThan,
  MAX_DEPTH,
  MAX_DESCRIPTION_LENGTH,
  MAX_EVENT_TYPES,
  MAX_EXAMPLE_BYTES,
  MAX_TOTAL_BYTES,
  shortened,
} from './limits.ts';
import { followed, type Json, OpenApiError } from './openapi-references.ts';

/** An event type as an OpenAPI document describes it. */
export interface DescribedEventType {
  readonly name: string;
  readonly description: string | null;
  /** A JSON text. */
  readonly schema: string | null;
  /** A JSON text. */
  readonly example: string | null;
}

/**
 * Reads event types from the `webhooks` of an OpenAPI 3.1 document: the summary or description of each POST,
 * and the schema and example of its JSON body. Schemas that it refers to (`#/components/schemas/…`) are copied
 * into it.
 *
 * If a body is described as the delivered envelope, `{"type", "timestamp", "data"}`, its `data` is read.
 *
 * The limits of limits.ts bound its work; they are checked while schemas are copied.
 *
 * @throws OpenApiError naming the part that cannot be read, and the limit if it is exceeded.
 */
export function readWebhooks(document: unknown): DescribedEventType[] {
  if (!isObject(document)) throw new OpenApiError('', 'must be an OpenAPI document, an object');
  const { openapi, webhooks } = document;
  if (typeof openapi !== 'string' || !/^3\.[1-9]/.test(openapi))
    throw new OpenApiError(
      'openapi',
      'must be "3.1.0" or a later version 3, since earlier versions have no webhooks',
    );
  if (webhooks === undefined) throw new OpenApiError('webhooks', 'is missing');
  if (!isObject(webhooks) || Object.keys(webhooks).length === 0)
    throw new OpenApiError('webhooks', 'must have at least one webhook, named by its event type');
  const number = Object.keys(webhooks).length;
  if (number > MAX_EVENT_TYPES)
    throw new OpenApiError(
      'webhooks',
      `has ${number} webhooks; at most ${MAX_EVENT_TYPES} are allowed`,
    );
  let total = 0;
  return Object.entries(webhooks).map(([name, item]) => {
    const type = readWebhook(document, name, item);
    total += (type.schema?.length ?? 0) + (type.example?.length ?? 0);
    if (total > MAX_TOTAL_BYTES)
      throw new OpenApiError(
        'webhooks',
        `have more than ${MAX_TOTAL_BYTES} bytes of schemas and examples, each with everything that it refers to, up to ${shortened(name)}; import fewer at a time, or refer to less`,
      );
    return type;
  });
}

function readWebhook(document: Json, name: string, item: unknown): DescribedEventType {
  const place = `webhooks.${name}`;
  const { post } = followed(document, item, place);
  if (!isObject(post))
    throw new OpenApiError(place, 'must have a post operation, since webhooks are sent by POST');
  const about = { name, description: descriptionOf(post, `${place}.post`) };
  const nothing = { ...about, schema: null, example: null };
  if (post.requestBody === undefined) return nothing;
  const bodyPlace = `${place}.post.requestBody`;
  const { content } = followed(document, post.requestBody, bodyPlace);
  const media = isObject(content) ? content['application/json'] : undefined;
  return isObject(media) ? { ...about, ...readBody(document, media, bodyPlace) } : nothing;
}

function descriptionOf(post: Json, place: string): string | null {
  const field = ['description', 'summary'].find((name) => typeof post[name] === 'string');
  if (field === undefined) return null;
  const text = post[field] as string;
  // A character may be two units of UTF-16.
  const { length } = text.length > 2 * MAX_DESCRIPTION_LENGTH ? text : [...text];
  if (length > MAX_DESCRIPTION_LENGTH)
    throw new OpenApiError(
      `${place}.${field}`,
      `has ${length} characters; at most ${MAX_DESCRIPTION_LENGTH} are allowed`,
    );
  if (text.includes('\0') || !text.isWellFormed())
    throw new OpenApiError(
      `${place}.${field}`,
      'may not contain U+0000 or half of a surrogate pair',
    );
  return text;
}

function readBody(document: Json, media: Json, place: string) {
  const example = exampleOf(document, media, place);
  if (!isObject(media.schema)) return { schema: null, example: writtenExample(example, place) };
  const body = followed(document, media.schema, place);
  const { type, timestamp, data } = isObject(body.properties) ? body.properties : ({} as Json);
  const wrapped = type !== undefined && timestamp !== undefined && isObject(data);
  const shown = example ?? (Array.isArray(body.examples) ? body.examples[0] : body.example) ?? null;
  return {
    schema: bundledSchema(document, wrapped ? data : media.schema, place),
    example: writtenExample(wrapped && isObject(shown) ? (shown.data ?? null) : shown, place),
  };
}

function exampleOf(document: Json, media: Json, place: string): unknown {
  if (media.example !== undefined) return media.example;
  const [first] = Object.values(isObject(media.examples) ? media.examples : {});
  return first === undefined ? null : (followed(document, first, place).value ?? null);
}

function writtenExample(example: unknown, place: string): string | null {
  if (example === null) return null;
  if (isDeeperThan(example, MAX_DEPTH))
    throw new OpenApiError(
      place,
      `has an example that is nested too deeply; at most ${MAX_DEPTH} levels are allowed`,
    );
  const text = JSON.stringify(example);
  const bytes = Buffer.byteLength(text);
  if (bytes > MAX_EXAMPLE_BYTES)
    throw new OpenApiError(
      place,
      `has an example of ${bytes} bytes; at most ${MAX_EXAMPLE_BYTES} are allowed`,
    );
  return text;
}
