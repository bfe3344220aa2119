import type { ErrorObject } from 'ajv';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isCancelled, isUnavailable } from '../../db/availability.ts';
import { TENANT_CLOSED } from '../../intake/errors.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { errorCode, errorMessage } from '../../lib/errors.ts';
import { throttle } from '../../lib/throttle.ts';
import { traceIdOf } from '../../tracing/trace-context.ts';
import { invalidRequest, Problem, tenantMoves, unavailable } from '../problems.ts';
import type { ApiServices } from '../services.ts';
import { explainValidation } from '../validation.ts';

/** Makes every error a problem+json answer (RFC 9457). */
export function registerErrors(app: FastifyInstance, serves: ApiServices['serves']): void {
  const reportUnavailable = throttle<Problem>(1000, (problem, requests) => {
    const reason = problem.cause === undefined ? problem.message : errorMessage(problem.cause);
    app.log.warn({ reason, requests }, 'answered 503');
  });

  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error, request);
    if (problem.status === 503) {
      reportUnavailable(problem);
    } else if (problem.status >= 500) {
      request.log.error(
        {
          err: problem.cause ?? error,
          route: request.routeOptions.url,
          trace_id: traceIdOf(request.trace),
        },
        problem.message,
      );
    }
    return sendProblem(reply, problem);
  });

  app.setNotFoundHandler((request, reply) => sendProblem(reply, noSuchRoute(request, serves)));
}

const LISTED: Readonly<Record<ApiServices['serves'], string>> = {
  everything: '/api/docs/ lists the routes',
  service: 'a worker has only /ping, /healthz, /readyz and /metrics',
};

/** The 404 for a path that is not there. */
export function noSuchRoute(
  request: FastifyRequest,
  serves: ApiServices['serves'] = 'everything',
): Problem {
  return new Problem(
    'not-found',
    `There is no route ${request.method} ${pathOf(request)}; ${LISTED[serves]}.`,
  );
}

/** Fastify's `frameworkErrors`: answers errors that occur before there is a route with an error handler. */
export function answerFrameworkError(
  error: FastifyError,
  request: FastifyRequest,
  reply: FastifyReply,
): void {
  sendProblem(reply, toProblem(error, request));
}

/** Answers with a problem. */
function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json')
    .serializer(JSON.stringify)
    .send(problem.toJSON());
}

function toProblem(error: FastifyError, request: FastifyRequest): Problem {
  if (error instanceof Problem) return error;
  if (error.validation !== undefined) {
    const part = PARTS[error.validationContext ?? 'body'] ?? 'body';
    return invalidRequest(explainValidation(error.validation as ErrorObject[], part));
  }
  switch (error.code) {
    case 'FST_ERR_CTP_BODY_TOO_LARGE':
      return new Problem(
        'too-large',
        `The body is larger than ${formatBytes(request.routeOptions.bodyLimit)}, the limit of this route.`,
      );
    case 'FST_ERR_BAD_URL':
      return new Problem(
        'invalid-request',
        'The path is not valid: each % must be followed by two hex digits, and the decoded bytes must be UTF-8.',
      );
    case 'FST_ERR_MAX_PARAM_LENGTH':
      return new Problem('path-too-long', 'A part of the path is longer than any id.');
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem(
        'unsupported-media-type',
        `The content-type is ${request.headers['content-type'] ?? 'missing'}; send application/json.`,
      );
  }
  // The tenant was deleted while the request ran. The text is that of a trigger, which no constraint has.
  if (errorCode(error) === FOREIGN_KEY_VIOLATION && /^there is no tenant /.test(error.message))
    return new Problem('not-found', 'The tenant is being deleted.');
  if (errorCode(error) === TENANT_CLOSED) return tenantMoves();
  // Before the check of the database: an upload that is cut off is an ECONNRESET too.
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('invalid-request', error.message);
  }
  if (isCancelled(error))
    return unavailable(
      'The database did not finish this request in time. Try again shortly; if it happens again, ask for less: a shorter time, a smaller limit, or more filters.',
      error,
    );
  if (isUnavailable(error)) {
    return unavailable(
      'The database cannot be reached or cannot carry out this request right now. Try again shortly.',
      error,
    );
  }
  return new Problem(
    'internal-error',
    'The service could not answer the request because of an error inside it; its log has the cause.',
    {
      cause: error,
    },
  );
}

const FOREIGN_KEY_VIOLATION = '23503';

const PARTS: Record<string, string> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
};

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? request.url;
}
