import type { TestService } from './service.ts';

/** An operation of the OpenAPI document. */
export interface Operation {
  readonly method: string;
  /** As it is in the document: `/v1/webhooks/{webhook_id}`. */
  readonly path: string;
  /** The scope that a key needs; null if the operation needs no key. */
  readonly scope: string | null;
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  /** A body that is taken; undefined where there is none. */
  readonly example: unknown;
  /** The names of what may be in its body. */
  readonly fields: readonly string[];
}

/** Every operation of the document. */
export async function listOperations(posthorn: TestService): Promise<Operation[]> {
  const { json: document } = await posthorn.request('GET', '/api/docs/json');
  return Object.entries<Record<string, unknown>>(document.paths).flatMap(([path, methods]) =>
    // biome-ignore lint/suspicious/noExplicitAny: a document is explored, not assumed
    Object.entries<any>(methods).map(([method, operation]) => {
      const content = operation.requestBody?.content['application/json'];
      const schema = content?.schema ?? {};
      const example = schema.examples?.[0] ?? content?.example ?? schema.example;
      if (operation.requestBody !== undefined && example === undefined)
        throw new Error(`${method} ${path} has a body and no example of it`);
      return {
        method: method.toUpperCase(),
        path,
        scope:
          operation.security.flatMap(
            ({ bearerAuth }: { bearerAuth?: string[] }) => bearerAuth ?? [],
          )[0] ?? null,
        parameters: operation.parameters ?? [],
        example,
        fields: Object.keys(schema.properties ?? {}),
      };
    }),
  );
}
