import type { FastifyInstance } from 'fastify';
import { Problem } from './problems.ts';

/**
 * Reads the headers that describe a body before any body is parsed, for all routes.
 *
 * A body with a content coding is refused, and the answer names the accepted coding (RFC 9110, 15.5.16): sources
 * sign the bytes that they send, and receivers get the same bytes. A content type that is sent twice with the same
 * value (`application/json,application/json`, as Jira sends it) is taken as that type.
 */
export function readContentHeaders(app: Pick<FastifyInstance, 'addHook'>): void {
  app.addHook('preParsing', (request, _reply, payload, done) => {
    const { headers } = request.raw;
    const coding = headers['content-encoding'];
    if (coding !== undefined && coding.trim().toLowerCase() !== 'identity') {
      const problem = new Problem(
        'unsupported-media-type',
        `The content-encoding is ${coding}; send the body without compression.`,
        { headers: { 'accept-encoding': 'identity' } },
      );
      done(problem as unknown as null);
      return;
    }
    const type = headers['content-type'];
    if (type?.includes(',')) headers['content-type'] = withoutRepetition(type);
    done(null, payload);
  });
}

/** Returns the element of a list whose elements are all equal; any other text is returned as it is. */
function withoutRepetition(text: string): string {
  const [first = '', ...others] = text.split(',').map((element) => element.trim());
  const isSame = (other: string) => other.toLowerCase() === first.toLowerCase();
  return others.every(isSame) ? first : text;
}
