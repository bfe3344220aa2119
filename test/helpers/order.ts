import type { ServerResponse } from 'node:http';
import type { ReceivedRequest } from './receiver.ts';

/** A webhook of a strictly ordered subscription: the nth that was accepted. */
export interface Numbered {
  readonly n: number;
  readonly key: string | null;
  /** So many of its attempts fail. */
  readonly failures: number;
}

/** A violation of strict order that a receiver saw. */
export interface OrderJudge {
  /** Answers a request, and notes whether it came in its turn. */
  readonly answer: (response: ServerResponse, request: ReceivedRequest) => void;
  readonly violations: string[];
  /** Returns the number of webhooks that have ended. */
  readonly ended: number;
  /** The most requests that were open at once. */
  readonly mostOpen: number;
}

interface Latest {
  readonly n: number;
  ended: boolean;
}

function problemOf(n: number, before: Latest | undefined): string | null {
  if (before === undefined || before.n === n) return null;
  if (before.n > n) return `${n} came after ${before.n}`;
  return before.ended ? null : `${n} came before ${before.n} had ended`;
}

/**
 * A receiver that fails attempts as each webhook says, and judges the order: of one key, no webhook
 * may come before the one before it has ended, by a success or by its last attempt.
 *
 * @param attempts that a webhook gets.
 * @param delayMs until it answers.
 */
export function createOrderJudge(attempts: number, delayMs: () => number): OrderJudge {
  const last = new Map<string | null, Latest>();
  const tries = new Map<number, number>();
  const done = new Set<number>();
  const violations: string[] = [];
  let open = 0;
  let mostOpen = 0;
  return {
    violations,
    get ended() {
      return done.size;
    },
    get mostOpen() {
      return mostOpen;
    },
    answer(response, { body }) {
      const { n, key, failures } = JSON.parse(body.toString()) as Numbered;
      const before = last.get(key);
      const problem = problemOf(n, before);
      const current = before?.n === n ? before : { n, ended: false };
      if (before === undefined || before.n <= n) last.set(key, current);
      open += 1;
      mostOpen = Math.max(mostOpen, open);
      setTimeout(() => {
        open -= 1;
        // Its sender was killed, and this machine was too busy to read the request before that.
        if (response.destroyed) return;
        if (problem !== null) violations.push(problem);
        const nth = (tries.get(n) ?? 0) + 1;
        tries.set(n, nth);
        const fails = nth <= failures;
        if (!fails || nth >= attempts) {
          current.ended = true;
          done.add(n);
        }
        response.statusCode = fails ? 500 : 200;
        response.end();
      }, delayMs());
    },
  };
}
