/** When requests are repeated. */
export interface RetryOptions {
  /** How often a request is sent at most; 1: it is never repeated. */
  readonly attempts: number;
  /** The wait before the second try in milliseconds. Each further one is twice as long, up to `MAX_WAIT_MS`. */
  readonly waitMs: number;
  /** After so many milliseconds without an answer, a try has failed. */
  readonly timeoutMs: number;
}

const MAX_WAIT_MS = 10_000;
/** The service, or a proxy before it, could not do it now. */
const AWAY = [502, 503, 504];

/**
 * Makes a `fetch` that repeats requests, if that cannot do a thing twice: reads, and those with an `Idempotency-Key`.
 * Any request is repeated that was refused for its rate. The wait is that of `Retry-After`, or else a random part of
 * one that doubles, so that clients which failed together do not come back together.
 *
 * @throws the error of the last try, if none had an answer.
 */
export function createRetryingFetch(
  { attempts, waitMs, timeoutMs }: RetryOptions,
  fetch: typeof globalThis.fetch,
): (request: Request) => Promise<Response> {
  return async (request) => {
    for (let attempt = 1; ; attempt++) {
      const isLast = attempt >= attempts;
      const backoff = Math.random() * Math.min(MAX_WAIT_MS, waitMs * 2 ** (attempt - 1));
      try {
        const signal = AbortSignal.any([request.signal, AbortSignal.timeout(timeoutMs)]);
        const response = await fetch(new Request(request.clone(), { signal }));
        if (isLast || !mayRepeat(request, response)) return response;
        await response.body?.cancel();
        await sleep(waitOf(response) ?? backoff, request.signal);
      } catch (error) {
        if (isLast || request.signal.aborted || !isRepeatable(request)) throw error;
        await sleep(backoff, request.signal);
      }
    }
  };
}

function isRepeatable({ method, headers }: Request): boolean {
  return method === 'GET' || headers.has('idempotency-key');
}

function mayRepeat(request: Request, response: Response): boolean {
  if (response.status === 429) return true;
  if (!isRepeatable(request)) return false;
  // The key is in use by an earlier try that has not ended.
  const isInProgress = response.status === 409 && response.headers.has('retry-after');
  return isInProgress || AWAY.includes(response.status);
}

/** The milliseconds of `Retry-After`, which Posthorn sends in seconds. */
function waitOf({ headers }: Response): number | undefined {
  const seconds = headers.get('retry-after');
  if (seconds === null || !/^\d{1,6}$/.test(seconds)) return undefined;
  return Math.min(MAX_WAIT_MS, Number(seconds) * 1000);
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', abort);
      resolve();
    }, ms);
    signal.addEventListener('abort', abort, { once: true });
  });
}
