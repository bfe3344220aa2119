import type { ErrorObject } from 'ajv';
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { isUnavailable } from '../../db/availability.ts';
import { formatBytes } from '../../lib/bytes.ts';
import { errorMessage } from '../../lib/errors.ts';
import { rarely } from '../../lib/rarely.ts';
import { invalidRequest, Problem, unavailable } from '../problems.ts';
import { explainValidation } from '../validation.ts';

/** Makes every error, from wherever, a problem+json answer (RFC 9457). */
export function registerErrors(app: FastifyInstance): void {
  const reportUnavailable = rarely<Problem>(1000, (problem, times) => {
    const reason = problem.cause === undefined ? problem.message : errorMessage(problem.cause);
    app.log.warn({ reason, requests: times }, 'answered 503');
  });

  app.setErrorHandler((error: FastifyError, request, reply) => {
    const problem = toProblem(error, request);
    if (problem.status === 503) {
      reportUnavailable(problem);
    } else if (problem.status >= 500) {
      request.log.error(
        { err: problem.cause ?? error, route: request.routeOptions.url },
        problem.message,
      );
    }
    return sendProblem(reply, problem);
  });

  app.setNotFoundHandler((request, reply) =>
    sendProblem(
      reply,
      new Problem(
        'not-found',
        `There is no ${request.method} ${pathOf(request)} here; /api/docs/ lists what there is.`,
      ),
    ),
  );
}

/** Answers with a problem. */
export function sendProblem(reply: FastifyReply, problem: Problem): FastifyReply {
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
        `The body has more than ${formatBytes(request.routeOptions.bodyLimit)}.`,
      );
    case 'FST_ERR_CTP_INVALID_MEDIA_TYPE':
      return new Problem(
        'unsupported-media-type',
        `The content-type is ${request.headers['content-type'] ?? 'missing'}; send application/json.`,
      );
    case 'FST_ERR_CTP_EMPTY_JSON_BODY':
      return new Problem('invalid-json', 'The body is empty; send a JSON object.');
    case 'FST_ERR_CTP_INVALID_JSON_BODY':
      return new Problem('invalid-json', 'The body is not valid JSON.');
  }
  if (error instanceof SyntaxError && error.statusCode === 400) {
    return new Problem('invalid-json', `The body is not valid JSON: ${error.message}.`);
  }
  if (isUnavailable(error)) {
    return unavailable(
      'The database cannot be reached or cannot take this right now. Try again shortly.',
      error,
    );
  }
  if (error.statusCode !== undefined && error.statusCode >= 400 && error.statusCode < 500) {
    return new Problem('invalid-request', error.message);
  }
  return new Problem('internal-error', 'The request could not be answered; the log says why.', {
    cause: error,
  });
}

const PARTS: Record<string, string> = {
  body: 'body',
  querystring: 'query',
  params: 'path',
  headers: 'headers',
};

function pathOf(request: FastifyRequest): string {
  return request.url.split('?')[0] ?? request.url;
}
