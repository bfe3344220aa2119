import type { FastifyRequest } from 'fastify';

/** Writes a link of an answer. */
export type To = (path: string) => string;

/** Links that lead whoever asked to the same tenant's things: one who has named it must name it again. */
export function linksOf(request: FastifyRequest): To {
  const { tenant } = (request.query ?? {}) as { tenant?: string };
  if (tenant === undefined) return (path) => path;
  return (path) => `${path}${path.includes('?') ? '&' : '?'}tenant=${encodeURIComponent(tenant)}`;
}
