import type { GetPublicCatalogueData } from '../api/client.ts';

/** The parts of the document that this page reads. */
interface Document {
  readonly webhooks: Readonly<Record<string, { readonly post: Post }>>;
  readonly components: {
    readonly parameters: Described;
    readonly schemas: Readonly<Record<string, unknown>>;
  };
}
interface Post {
  readonly description?: string;
  readonly requestBody: {
    readonly content: {
      readonly 'application/json': { readonly schema: unknown; readonly example?: unknown };
    };
  };
  readonly responses: Described;
}
type Described = Readonly<Record<string, { readonly description: string }>>;

/** A header or an answer, with what it means. */
export interface Meaning {
  readonly name: string;
  readonly meaning: string;
}

/** An event type of the catalogue. */
export interface PublicEventType {
  readonly name: string;
  readonly description: string | null;
  /** The schema of the whole body; its references are relative to the document. */
  readonly body: unknown;
  /** The schema of its data alone, as it is registered; undefined: none. */
  readonly schema: unknown;
  /** An example of the whole body; undefined: none. */
  readonly example: unknown;
}

export interface Catalogue {
  readonly document: unknown;
  readonly types: readonly PublicEventType[];
  readonly headers: readonly Meaning[];
  /** What a receiver may answer. */
  readonly answers: readonly Meaning[];
}

/** Reads the OpenAPI document of `GET /v1/catalogue`. */
export function readDocument(document: GetPublicCatalogueData): Catalogue {
  const { webhooks, components } = document as unknown as Document;
  const posts = Object.entries(webhooks).map(([name, { post }]) => [name, post] as const);
  return {
    document,
    types: posts.map(([name, post]) => {
      const { schema, example } = post.requestBody.content['application/json'];
      return {
        name,
        description: post.description ?? null,
        body: schema,
        schema: Object.hasOwn(components.schemas, name) ? components.schemas[name] : undefined,
        example,
      };
    }),
    headers: meaningsOf(components.parameters),
    // Names that are numbers come first in an object.
    answers: meaningsOf(posts[0]?.[1].responses ?? {}).toSorted((a, b) =>
      a.name < b.name ? -1 : 1,
    ),
  };
}

function meaningsOf(described: Described): Meaning[] {
  return Object.entries(described).map(([name, { description }]) => ({
    name,
    meaning: description,
  }));
}
