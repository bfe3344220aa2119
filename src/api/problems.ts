/** Says what is wrong with one field of a request, and what would be right. */
export interface FieldProblem {
  /** `body.url`, `query.limit`, `headers.x-hub-signature-256`. */
  readonly field: string;
  readonly message: string;
}

/**
 * An error answer (RFC 9457). Routes throw it; the error handler sends it. `type` is a URI that
 * stays the same for the same kind of problem.
 */
export class Problem extends Error {
  override readonly name = 'Problem';
  readonly status: number;
  readonly type: string;
  readonly title: string;
  readonly errors: readonly FieldProblem[] | undefined;
  readonly headers: Readonly<Record<string, string>>;

  constructor(
    kind: ProblemKind,
    detail: string,
    {
      errors,
      headers = {},
      cause,
    }: { errors?: readonly FieldProblem[]; headers?: Record<string, string>; cause?: unknown } = {},
  ) {
    super(detail, { cause });
    const { status, title } = CATALOGUE[kind];
    this.status = status;
    this.title = title;
    this.type = `urn:posthorn:problem:${kind}`;
    this.errors = errors;
    this.headers = headers;
  }

  /** The answer's body, members in the order of RFC 9457 section 3.1. */
  toJSON(): Record<string, unknown> {
    return {
      type: this.type,
      title: this.title,
      status: this.status,
      detail: this.message,
      ...(this.errors === undefined ? {} : { errors: this.errors }),
    };
  }
}

/** Every kind of problem that the API answers with. */
const CATALOGUE = {
  'invalid-request': { status: 400, title: 'The request is not valid' },
  'invalid-json': { status: 400, title: 'The body is not valid JSON' },
  unauthorized: { status: 401, title: 'The request has no valid key or signature' },
  forbidden: { status: 403, title: 'The key lacks the scope for this' },
  'foreign-page': { status: 403, title: 'A web page of another site may have sent this' },
  'not-found': { status: 404, title: 'Not found' },
  'method-not-allowed': { status: 405, title: 'The path does not support this method' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  conflict: { status: 409, title: 'The request conflicts with the current state' },
  'request-in-progress': { status: 409, title: 'The same request is in progress' },
  'too-large': { status: 413, title: 'The body is too large' },
  'path-too-long': { status: 414, title: 'A part of the path is too long' },
  'unsupported-media-type': { status: 415, title: 'The content-type is not supported' },
  'expectation-failed': { status: 417, title: 'The Expect header is not supported' },
  'idempotency-key-reused': {
    status: 422,
    title: 'The idempotency key was used for another request',
  },
  'too-many-requests': { status: 429, title: 'Too many requests' },
  misdirected: { status: 421, title: 'Another Posthorn is responsible' },
  'headers-too-large': { status: 431, title: 'The headers are too large' },
  'internal-error': { status: 500, title: 'An error inside the service' },
  unavailable: { status: 503, title: 'The service cannot do this right now' },
  'tenant-moves': { status: 503, title: 'The tenant is moving to another database' },
  'outcome-unknown': { status: 503, title: 'The request may or may not have been carried out' },
} as const satisfies Record<string, { status: number; title: string }>;

type ProblemKind = keyof typeof CATALOGUE;

/** A 400 for the fields of a request. */
export function invalidRequest(errors: readonly FieldProblem[]): Problem {
  const detail = errors.map(({ field, message }) => `${field} ${message}`).join('; ');
  return new Problem('invalid-request', detail, { errors });
}

/** A 400 for one field. */
export function invalidField(field: string, message: string): Problem {
  return invalidRequest([{ field, message }]);
}

/** A 404 for something that has an id. */
export function notFound(kind: string, id: string | number): Problem {
  return new Problem('not-found', `There is no ${kind} ${id}.`);
}

/** A 503 that says when to try again. */
export function unavailable(detail: string, cause?: unknown): Problem {
  return new Problem('unavailable', detail, { headers: { 'retry-after': '1' }, cause });
}

/** A 503 for a request that was started and may have been carried out. */
export function outcomeUnknown(detail: string, cause?: unknown): Problem {
  return new Problem('outcome-unknown', detail, { headers: { 'retry-after': '1' }, cause });
}

/** A 503 for a request that would change something of a tenant that is closed in this database. */
export function tenantMoves(): Problem {
  return new Problem(
    'tenant-moves',
    'The tenant is moving to another database, so nothing of it can be changed for the moment. Nothing was done. Send the request again in a few seconds; if it is still refused after a minute, send it to the Posthorn where the tenant lives now.',
    { headers: { 'retry-after': '5' } },
  );
}
