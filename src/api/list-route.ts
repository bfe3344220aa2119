import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type {
  FastifyBaseLogger,
  FastifyInstance,
  FastifyReply,
  FastifyRequest,
  FastifySchema,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from 'fastify';
import type pg from 'pg';
import { type Static, type TObject, type TProperties, type TSchema, Type } from 'typebox';
import type { Scope } from '../keys/scopes.ts';
import { type CursorShape, type Position, readCursor, writeCursor } from './cursor.ts';
import { linksOf, type To } from './links.ts';
import { described, nullable, problems } from './schemas/common.ts';

const DEFAULT_LIMIT = 100;

/** The query parameters of every list. */
const PageQuery = {
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

/** A page of a list. */
interface Page<Row> {
  readonly rows: readonly Row[];
  /** The other fields of the answer (`ListRoute.beside`). */
  readonly beside?: Readonly<Record<string, unknown>>;
  /** The position of the last row that was read, after which the next page begins; null: there is no next page. */
  readonly next: Position | null;
}

/** The page that a request asks for. */
interface PageRequest<Filters extends TProperties> {
  readonly tenant: string;
  readonly filters: Static<TObject<Filters>>;
  /** The `next` of the page before, as text; undefined: the first page. */
  readonly after: readonly string[] | undefined;
  readonly limit: number;
  /** Makes links for the rows. */
  readonly to: To;
  /** Reads history, as `app.readReport` does. */
  readonly report: <T>(read: (pool: pg.Pool) => Promise<T>) => Promise<T>;
}

interface ListRoute<Filters extends TProperties, Row extends TSchema> {
  readonly path: string;
  readonly scope: Scope;
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tag: string;
  /** Says what a page contains; how to get the next page is added to it. */
  readonly page: string;
  /** The query parameters other than those of the page. */
  readonly filters: Filters;
  readonly row: Row;
  /** Fields of the answer beside the rows; all are optional. */
  readonly beside?: TProperties;
  /** The shape of each part of the position in a cursor, which may depend on the filters. */
  readonly cursor:
    | readonly CursorShape[]
    | ((filters: Static<TObject<Filters>>) => readonly CursorShape[]);
  /** The answer is the array of the rows, as in the first system. The next page is only in the Link header. */
  readonly bare?: true;
  readonly read: (page: PageRequest<Filters>) => Promise<Page<Static<Row>>>;
}

type App = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** Adds a GET route that lists rows in pages. It reads cursors, and writes the cursor of the next page. */
export function addListRoute<Filters extends TProperties, Row extends TSchema>(
  app: App,
  route: ListRoute<Filters, Row>,
): void {
  const {
    operationId,
    summary,
    description,
    tag,
    page,
    filters,
    row,
    bare,
    beside = {},
    cursor: shapes,
  } = route;
  const schema: FastifySchema = {
    operationId,
    summary,
    ...(description === undefined ? {} : { description }),
    tags: [tag],
    querystring: Type.Object({ ...filters, ...PageQuery }, { additionalProperties: false }),
    response: {
      200: bare
        ? described(`${page} The Link header leads to the next page.`, Type.Array(row))
        : described(
            `${page} next_cursor and the Link header lead to the next page.`,
            Type.Object({ data: Type.Array(row), next_cursor: nullable(Type.String()), ...beside }),
          ),
      ...problems(400, 401),
    },
  };
  app.get(route.path, { config: { scope: route.scope }, schema }, async (request, reply) => {
    const query = request.query as Static<TObject<Filters>> & Static<TObject<typeof PageQuery>>;
    const { cursor, limit = DEFAULT_LIMIT } = query;
    const {
      rows,
      next,
      beside = {},
    } = await route.read({
      tenant: request.tenant,
      filters: query,
      after:
        cursor === undefined
          ? undefined
          : readCursor(cursor, typeof shapes === 'function' ? shapes(query) : shapes),
      limit,
      to: linksOf(request),
      report: (read) => app.readReport(request, reply, read),
    });
    const nextCursor = next === null ? null : writeCursor(next);
    if (nextCursor !== null) linkNext(request, reply, nextCursor);
    return reply.send(bare ? rows : { data: rows, next_cursor: nextCursor, ...beside });
  });
}

/**
 * Reads a page with a statement that returns the first rows after a position.
 *
 * @param read runs the statement with a limit of rows: a row more than the page, which shows if there is a next page.
 */
export async function readPageBy<Row>(
  limit: number,
  read: (limit: number) => Promise<readonly Row[]>,
  positionOf: (row: Row) => Position,
): Promise<Page<Row>> {
  const found = await read(limit + 1);
  const rows = found.slice(0, limit);
  const last = rows.at(-1);
  return { rows, next: found.length > limit && last !== undefined ? positionOf(last) : null };
}

/** Sets the Link header to the next page (RFC 8288), with the request's other parameters. */
function linkNext(request: FastifyRequest, reply: FastifyReply, cursor: string): void {
  const [path = '', query = ''] = request.url.split('?');
  const parameters = new URLSearchParams(query);
  parameters.set('cursor', cursor);
  reply.header('link', `<${path}?${parameters}>; rel="next"`);
}
