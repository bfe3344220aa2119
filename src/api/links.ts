import type { FastifyRequest } from 'fastify';

/** Makes a path a link for an answer. */
export type To = (path: string) => string;

/** Makes links that name the request's tenant if the request did: without it they would lead to another. */
export function linksOf(request: FastifyRequest): To {
  const { tenant } = (request.query ?? {}) as { tenant?: string };
  if (tenant === undefined) return (path) => path;
  return (path) => `${path}${path.includes('?') ? '&' : '?'}tenant=${encodeURIComponent(tenant)}`;
}
