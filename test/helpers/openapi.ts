import type { TestService } from './service.ts';

/** A JSON Schema, as the OpenAPI document has it. */
// biome-ignore lint/suspicious/noExplicitAny: a document is explored, not assumed
export type Schema = Record<string, any>;

export interface Parameter {
  readonly name: string;
  readonly in: 'path' | 'query' | 'header';
  readonly required?: boolean;
  readonly schema: Schema;
}

export interface Operation {
  /** `get`, `post` and so on. */
  readonly method: string;
  /** With its parameters in braces. */
  readonly path: string;
  readonly operationId: string;
  readonly tags: readonly string[];
  readonly parameters: readonly Parameter[];
  readonly requestBody?: {
    readonly required?: boolean;
    readonly content: Record<string, { schema: Schema; example?: unknown; examples?: unknown }>;
  };
  readonly responses: Record<
    string,
    { description: string; headers?: Schema; content?: Record<string, { schema: Schema }> }
  >;
}

export interface OpenApi {
  readonly paths: Record<string, Record<string, Omit<Operation, 'method' | 'path'>>>;
  readonly components: { readonly schemas: Record<string, Schema> };
}

/** Reads the document of a running service. */
export async function readDocument(posthorn: TestService): Promise<OpenApi> {
  const { status, json, text } = await posthorn.request('GET', '/api/docs/json');
  if (status !== 200) throw new Error(`/api/docs/json: ${status} ${text}`);
  return json;
}

/** Every operation of the document. */
export function operationsOf({ paths }: OpenApi): Operation[] {
  return Object.entries(paths).flatMap(([path, operations]) =>
    Object.entries(operations).map(([method, operation]) => ({
      ...operation,
      parameters: operation.parameters ?? [],
      method,
      path,
    })),
  );
}

/** The schema of an operation's JSON body, if it takes one. */
export function bodySchemaOf({ requestBody }: Operation): Schema | undefined {
  return requestBody?.content['application/json']?.schema;
}

/** The examples that the document gives for an operation's body. */
export function bodyExamplesOf(operation: Operation): unknown[] {
  const { schema, example } = operation.requestBody?.content['application/json'] ?? {};
  return [
    ...(example === undefined ? [] : [example]),
    ...(schema?.example === undefined ? [] : [schema.example]),
    ...(schema?.examples ?? []),
  ];
}

/** Follows `$ref`s within the document. */
export function resolve(document: OpenApi, schema: Schema): Schema {
  const name = /^#\/components\/schemas\/(.+)$/.exec(schema.$ref ?? '')?.[1];
  if (name === undefined) return schema;
  const target = document.components.schemas[name];
  if (target === undefined) throw new Error(`${schema.$ref} leads nowhere`);
  return resolve(document, target);
}
