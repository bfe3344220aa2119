import { requiresNothing } from '../accepting.ts';
import { problems } from '../schemas/common.ts';

type Json = Record<string, unknown>;
interface Parameter extends Json {
  name: string;
  in: string;
  required?: boolean;
  description?: string;
  schema?: Json;
}
interface Operation extends Json {
  parameters?: Parameter[];
  requestBody?: { required?: boolean; content: Record<string, { schema?: Json }> };
  responses: Record<string, Json>;
}
export interface OpenApiDocument extends Json {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Json };
}

/**
 * Completes the OpenAPI document that is generated from the routes' schemas. It adds the answers that the
 * server gives before a route runs, the `Link` header of lists, and which bodies may be left out. It removes
 * the values of parameters, which nobody should send unread. It moves
 * each schema with a name (its `title`) to one place, so that a generated client has a single
 * type `Subscription` and not a type for each route.
 *
 * @throws Error when two different schemas have the same title.
 */
export function completeDocument(document: OpenApiDocument): OpenApiDocument {
  const schemas: Record<string, Json> = {};
  const paths = hoist(withServerAnswers(document.paths), schemas) as OpenApiDocument['paths'];
  return {
    // Present even if it is empty.
    security: [],
    ...document,
    paths,
    components: {
      ...document.components,
      schemas: { ...document.components?.schemas, ...schemas },
    },
  };
}

/**
 * Adds the answers that a request may get before its route runs. Every request: when it is not HTTP, late
 * or too large, or comes from another site's page. A request with ids in its path: when they are too long.
 * A request that may have a body, even if its route reads none: when the body cannot be read.
 */
function withServerAnswers(paths: OpenApiDocument['paths']): OpenApiDocument['paths'] {
  const mapped = Object.entries(paths).map(([path, operations]) => {
    const pathStatuses = path.includes('{') ? [414] : [];
    const completed = Object.entries(operations).map(([method, operation]) => {
      const bodyStatuses = method === 'get' ? [] : [413, 415];
      const always = problems(400, 403, 408, 417, 431, ...pathStatuses, ...bodyStatuses);
      const responses = { ...always, ...withLink(operation) };
      return [
        method,
        { ...operation, ...withParameters(operation), ...withBody(operation), responses },
      ];
    });
    return [path, Object.fromEntries(completed)];
  });
  return Object.fromEntries(mapped);
}

/**
 * Removes the values that Swagger UI would fill in for parameters. Its user would send them unread: an example of
 * a filter makes a list empty, an idempotency key makes the second request fail, and an id names something that
 * does not exist, or deletes something that does. The description says the values in words.
 */
function withParameters({ parameters }: Operation): Pick<Operation, 'parameters'> {
  return parameters === undefined ? {} : { parameters: parameters.map(withoutValues) };
}

function withoutValues(parameter: Parameter): Parameter {
  const { example, examples: _, schema = {}, ...rest } = parameter;
  const { example: __, examples: ___, default: fallback, ...bare } = schema;
  const words = [
    rest.description,
    rest.required === true && example !== undefined && `Example: \`${example}\`.`,
    fallback !== undefined && `If it is left out: ${fallback}.`,
  ].filter((part) => typeof part === 'string');
  return { ...rest, ...(words.length > 0 && { description: words.join(' ') }), schema: bare };
}

/** Makes a body without required fields optional. */
function withBody({ requestBody }: Operation): Pick<Operation, 'requestBody'> {
  if (requestBody === undefined) return {};
  const schemas = Object.values(requestBody.content).map(({ schema }) => schema);
  return { requestBody: { ...requestBody, required: !schemas.every(requiresNothing) } };
}

const LINK = {
  Link: {
    description:
      'The URL of the next page, as rel="next" (RFC 8288). The last page has no Link header.',
    schema: { type: 'string' },
  },
};

/** Adds the Link header to routes with a cursor. */
function withLink({ parameters = [], responses }: Operation): Operation['responses'] {
  const page = responses[200];
  if (page === undefined || !parameters.some(({ name }) => name === 'cursor')) return responses;
  return { ...responses, 200: { ...page, headers: LINK } };
}

/** Keywords whose values are data, not schemas, though they may look like schemas. */
const VALUES = new Set(['default', 'enum', 'const', 'example', 'examples']);

/** Puts a reference in the place of each schema that has a title, and the schema into `schemas`. */
function hoist(node: unknown, schemas: Record<string, Json>): unknown {
  if (Array.isArray(node)) return node.map((item) => hoist(item, schemas));
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).map(([key, value]) => [
    key,
    VALUES.has(key) ? value : hoist(value, schemas),
  ]);
  const { title, ...schema } = Object.fromEntries(entries) as Json;
  // If title is not a string, it is the schema of a property with that name.
  if (typeof title !== 'string') return Object.fromEntries(entries);
  const { description: _, ...bare } = schema;
  const { description: __, ...known } = schemas[title] ?? bare;
  if (JSON.stringify(known) !== JSON.stringify(bare))
    throw new Error(`Two different schemas have the title ${title}; give either another title.`);
  // The description belongs to the answer, which stands beside this schema.
  schemas[title] ??= bare;
  return { $ref: `#/components/schemas/${title}` };
}
