import type { PulledDelivery } from '../../api/pulled-delivery.ts';
import { errorMessage, OperatorError } from '../../lib/errors.ts';
import { EXIT } from '../exit-codes.ts';
import { postToReceiver } from '../receiver-answer.ts';

/** A receiver on this machine, and the event types that it gets: a type, or a prefix such as `order.*`. Null: all others. */
export interface Forward {
  readonly type: string | null;
  readonly url: string;
}

/** The result of forwarding a webhook, with the fields of an acknowledgement. */
export interface ForwardResult {
  readonly result: 'delivered' | 'failed' | 'released';
  readonly response_code?: number;
  readonly response_excerpt?: string;
  readonly error?: string;
}

/** The receiver's answer has to come before the lease of a batch ends. */
const ANSWER_MS = 10_000;
const MAX_ERROR = 1_000;
/** Headers of one connection: the request that forwards a webhook has its own. */
const NOT_FORWARDED = new Set(['accept-encoding', 'connection', 'content-length', 'host']);

/**
 * Reads `<url>` or `<event type>=<url>`.
 *
 * @throws OperatorError for what is neither.
 */
export function forwardOf(text: string): Forward {
  const [, type = null, url = ''] = /^(?:([A-Za-z0-9_.*-]+)=)?(https?:\/\/.*)$/.exec(text) ?? [];
  if (URL.canParse(url)) return { type, url };
  throw new OperatorError(
    `--forward is "${text}"; give a URL such as http://localhost:3000/hook, or <event type>=<url>.`,
    { exitCode: EXIT.usage },
  );
}

/** Returns the event types of all forwards; null: one of them is for all types. */
export function typesOf(forwards: readonly Forward[]): string[] | null {
  const types = forwards.flatMap(({ type }) => type ?? []);
  return types.length < forwards.length ? null : types;
}

/** Returns the forward for an event type: that of the type, else of the longest prefix, else the one for all others. */
export function chooseForward(
  forwards: readonly Forward[],
  eventType: string | null,
): Forward | undefined {
  const matching = forwards.filter(({ type }) => type === null || matches(type, eventType));
  const weight = ({ type }: Forward) =>
    type === null ? -1 : type === eventType ? Number.POSITIVE_INFINITY : type.length;
  return matching.toSorted((a, b) => weight(b) - weight(a))[0];
}

function matches(pattern: string, eventType: string | null): boolean {
  if (pattern === '*') return true;
  if (eventType === null) return false;
  return pattern.endsWith('.*')
    ? eventType.startsWith(pattern.slice(0, -1))
    : pattern === eventType;
}

/** Sends a webhook to its receiver on this machine, with the headers that Posthorn would send. */
export async function forwardTo(
  to: Forward | undefined,
  { headers, body, encoding }: PulledDelivery,
): Promise<ForwardResult> {
  if (to === undefined) return { result: 'failed', error: 'No --forward is for this event type.' };
  const forwarded = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name));
  try {
    const { status, ok, excerpt } = await postToReceiver(
      to.url,
      {
        headers: Object.fromEntries(forwarded),
        body: Buffer.from(body, encoding === 'base64' ? 'base64' : 'utf8'),
      },
      ANSWER_MS,
    );
    return {
      result: ok ? 'delivered' : 'failed',
      response_code: status,
      ...(excerpt === '' ? {} : { response_excerpt: excerpt }),
    };
  } catch (error) {
    const why = `No answer from ${to.url}: ${errorMessage(error)}.`;
    return { result: 'failed', error: why.slice(0, MAX_ERROR) };
  }
}
