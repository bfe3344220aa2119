import { requiresNothing } from '../accepting.ts';
import { problems } from '../schemas/common.ts';

type Json = Record<string, unknown>;
interface Operation extends Json {
  parameters?: { name: string; in: string }[];
  requestBody?: { required?: boolean; content: Record<string, { schema?: Json }> };
  responses: Record<string, Json>;
}
export interface OpenApiDocument extends Json {
  paths: Record<string, Record<string, Operation>>;
  components?: { schemas?: Json };
}

/**
 * Completes the document that the routes' schemas make: the answers that the server itself gives
 * before a route is asked, the `Link` header of lists, which bodies may be left out, and one place for
 * each schema that has a name (its `title`), so that a client made from the document knows one
 * `Subscription` and not as many as there are routes.
 *
 * @throws Error when one name stands for two different schemas.
 */
export function completeDocument(document: OpenApiDocument): OpenApiDocument {
  const schemas: Record<string, Json> = {};
  const paths = hoist(withServerAnswers(document.paths), schemas) as OpenApiDocument['paths'];
  return {
    // Said even where it is nothing.
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
 * What a request may get before its route is asked: any one when it is not HTTP, is late or too
 * large, or comes from another site's page; one with ids in its path when they are too long; and one that may have a body, even where
 * none is wanted, when that cannot be read.
 */
function withServerAnswers(paths: OpenApiDocument['paths']): OpenApiDocument['paths'] {
  const mapped = Object.entries(paths).map(([path, operations]) => {
    const ofPath = path.includes('{') ? [414] : [];
    const withThem = Object.entries(operations).map(([method, operation]) => {
      const ofBody = method === 'get' ? [] : [413, 415];
      const always = problems(400, 403, 408, 417, 431, ...ofPath, ...ofBody);
      const responses = { ...always, ...withLink(operation) };
      return [method, { ...operation, ...withBody(operation), responses }];
    });
    return [path, Object.fromEntries(withThem)];
  });
  return Object.fromEntries(mapped);
}

/** A body of which nothing is required is not required either. */
function withBody({ requestBody }: Operation): Pick<Operation, 'requestBody'> {
  if (requestBody === undefined) return {};
  const schemas = Object.values(requestBody.content).map(({ schema }) => schema);
  return { requestBody: { ...requestBody, required: !schemas.every(requiresNothing) } };
}

const LINK = {
  Link: {
    description: 'The next page, as rel="next"; none after the last one (RFC 8288).',
    schema: { type: 'string' },
  },
};

/** What is asked for with a cursor answers with a link to the next page. */
function withLink({ parameters = [], responses }: Operation): Operation['responses'] {
  const page = responses[200];
  if (page === undefined || !parameters.some(({ name }) => name === 'cursor')) return responses;
  return { ...responses, 200: { ...page, headers: LINK } };
}

/** What is not a schema, though it may look like one. */
const VALUES = new Set(['default', 'enum', 'const', 'example', 'examples']);

/** Puts a reference in the place of each schema that has a title, and the schema into `schemas`. */
function hoist(node: unknown, schemas: Record<string, Json>): unknown {
  if (Array.isArray(node)) return node.map((one) => hoist(one, schemas));
  if (typeof node !== 'object' || node === null) return node;
  const entries = Object.entries(node).map(([key, value]) => [
    key,
    VALUES.has(key) ? value : hoist(value, schemas),
  ]);
  const { title, ...schema } = Object.fromEntries(entries) as Json;
  // A property called title is a schema, and no string.
  if (typeof title !== 'string') return Object.fromEntries(entries);
  const { description: _, ...bare } = schema;
  const { description: __, ...known } = schemas[title] ?? bare;
  if (JSON.stringify(known) !== JSON.stringify(bare))
    throw new Error(`Two schemas have the title ${title}, and they are not the same.`);
  // What an answer means stands beside the answer's schema, not in it.
  schemas[title] ??= bare;
  return { $ref: `#/components/schemas/${title}` };
}
