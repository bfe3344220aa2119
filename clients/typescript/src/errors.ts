import type { components } from './api.d.ts';

/** An answer of Posthorn that is an error (RFC 9457). */
export type Problem = components['schemas']['Problem'];

/** Posthorn has refused a request, or could not do it. */
export class PosthornError extends Error {
  override readonly name = 'PosthornError';
  /** The status of the answer. */
  readonly status: number;
  /** What the answer says; undefined if it is not Posthorn's, but that of a proxy. */
  readonly problem: Problem | undefined;

  constructor(status: number, text: string) {
    const problem = readProblem(text);
    const fields = problem?.errors?.map(({ field, message }) => `${field} ${message}`) ?? [];
    super([problem?.detail ?? `Posthorn answered ${status}.`, ...fields].join(' '));
    this.status = status;
    this.problem = problem;
  }
}

function readProblem(text: string): Problem | undefined {
  try {
    const problem = JSON.parse(text) as Problem | null;
    return typeof problem?.detail === 'string' ? problem : undefined;
  } catch {
    return undefined;
  }
}
