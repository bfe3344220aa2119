import type { AttemptStatus } from '../db/types.ts';
import type { ReceiverHealth } from '../health/circuits.ts';
import { BlockedAddressError } from '../http/address-guard.ts';
import { HeadTooLargeError, ProtocolError } from '../http/answer-head.ts';
import { type CutOff, type HttpAnswer, InterimAnswersError } from '../http/answer-reader.ts';
import { ConnectionClosedError } from '../http/connections.ts';
import { ProxyError } from '../http/egress-proxy.ts';
import { AttemptTimeoutError } from '../http/http-client.ts';
import { formatDuration } from '../lib/duration.ts';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { STATUS_CODES } from '../lib/node-http.ts';

/** The codes of errors that attempts are recorded with. */
export const ERROR_CODES = [
  'answer_cut_off',
  'blocked',
  'connection',
  'dns',
  'gone',
  'http_status',
  'lease_ended',
  'mail',
  'payload_unreadable',
  'protocol',
  'proxy',
  'pull_failed',
  'redirect',
  'refused',
  'reset',
  'subscription',
  'timeout_connect',
  'timeout_response',
  'tls',
  'too_large',
  'unreachable',
] as const;
export type ErrorCode = (typeof ERROR_CODES)[number];

/** The result of an attempt: a code for programs and a sentence for people. */
export interface Verdict {
  readonly status: AttemptStatus;
  readonly errorCode: ErrorCode | null;
  readonly error: string | null;
  /** Another attempt could have a different result. */
  readonly retry: boolean;
}

const SUCCESS: Verdict = { status: 'success', errorCode: null, error: null, retry: false };

/** Says why an answer was not read to its end; follows "The receiver answered 200 OK; ". */
const CUT_OFF: Readonly<Record<CutOff, string>> = {
  'too long': 'its body was longer than is read, and was cut off',
  malformed: 'its body was malformed (chunks that are none), and was cut off',
  closed: 'it closed the connection before the end of its body',
  broken: 'the connection broke before the end of its body',
  time: 'its body had not ended when the time of the attempt was over, and was cut off',
  stopped: 'its body had not ended when Posthorn was stopped, and was cut off',
  'closed in head': 'it closed the connection before the end of its headers',
};

/**
 * Judges an answer: any 2xx is a success; a redirect is a failure, since following it would let a
 * receiver choose whom we call; 410 asks us never to come back; everything else is tried again.
 */
export function classifyAnswer({ statusCode, location, cutOff }: HttpAnswer): Verdict {
  const named = `${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim();
  if (statusCode >= 200 && statusCode < 300) {
    if (cutOff === null) return SUCCESS;
    return {
      ...SUCCESS,
      errorCode: 'answer_cut_off',
      error: `The receiver answered ${named}; ${CUT_OFF[cutOff]}.`,
    };
  }
  if (statusCode === 410) {
    return {
      status: 'failed',
      errorCode: 'gone',
      error: 'The receiver answered 410 Gone, which asks for no further attempts.',
      retry: false,
    };
  }
  if (statusCode >= 300 && statusCode < 400) {
    const to = location === undefined ? '' : ` to ${printable(location.slice(0, 200))}`;
    return {
      status: 'failed',
      errorCode: 'redirect',
      error: `The receiver answered ${named}${to}; redirects are not followed. Change the subscription's URL.`,
      retry: true,
    };
  }
  return {
    status: 'failed',
    errorCode: 'http_status',
    error: `The receiver answered ${named}.`,
    retry: true,
  };
}

/**
 * Judges an attempt by what the receiver says that pulled the webhook.
 *
 * @param statusCode of the answer of a receiver that it was forwarded to; null: there was none.
 * @param error what went wrong, as a sentence of the receiver.
 */
export function classifyPulled(
  delivered: boolean,
  statusCode: number | null,
  error: string | undefined,
): Verdict {
  if (delivered) return SUCCESS;
  const says =
    error ||
    (statusCode === null
      ? 'The receiver pulled it and reported that it failed.'
      : `The receiver answered ${`${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim()}.`);
  return {
    status: 'failed',
    errorCode: statusCode === null || statusCode < 300 ? 'pull_failed' : 'http_status',
    error: says,
    retry: true,
  };
}

/** Replaces control characters: Postgres takes no NUL, and a line of the log no line break. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e\xa0-\xff]/g, '\ufffd');
}

/** Derives the receiver's health from a verdict, and from the answer's status where there was one. */
export function receiverHealthOf(
  { status, errorCode }: Verdict,
  statusCode: number | undefined,
): ReceiverHealth {
  if (status === 'success') return 'well';
  if (errorCode === 'gone') return 'gone';
  if (errorCode === 'payload_unreadable') return 'unread';
  if (status === 'blocked' || errorCode === 'subscription') return 'unsent';
  if (statusCode === undefined) return 'down';
  return statusCode >= 500 || statusCode === 408 || statusCode === 429 ? 'down' : 'refused';
}

/** The subscription's own row makes sending impossible. */
export class InvalidSubscriptionError extends Error {
  override readonly name = 'InvalidSubscriptionError';
}

/** A mail server refused an e-mail, or there is none. The message is a clause. */
export class MailError extends Error {
  override readonly name = 'MailError';
}

/** The webhook's body cannot be loaded, or is too large to be. */
export class UnreadablePayloadError extends Error {
  override readonly name = 'UnreadablePayloadError';
}

const CLOSED = 'The receiver closed the connection before it had answered in full.';

/** Node's codes for OpenSSL's errors and for invalid certificates. */
const TLS_CODE =
  /CERT|CRL|TLS|SSL|SIGNATURE|ISSUER|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME_MISMATCH/;

/**
 * Judges the error that ended an attempt without an answer. All are retried except a forbidden address.
 *
 * @param timeoutMs the attempt's time limit, for the message.
 */
export function classifyFailure(reason: unknown, timeoutMs: number): Verdict {
  // With several addresses for a name, the first one's error stands for all.
  const error = reason instanceof AggregateError ? reason.errors[0] : reason;
  if (error instanceof BlockedAddressError) {
    return {
      status: 'blocked',
      errorCode: 'blocked',
      error: `Not sent: ${error.message}.`,
      retry: false,
    };
  }
  if (error instanceof InvalidSubscriptionError) {
    return failed(
      'subscription',
      `Not sent: the subscription is not valid (${error.message}). Correct it.`,
    );
  }
  if (error instanceof UnreadablePayloadError)
    return failed('payload_unreadable', `Not sent: ${error.message}.`);
  if (error instanceof MailError) return failed('mail', `Not sent: ${error.message}.`);
  if (error instanceof ProxyError) return failed('proxy', `${error.message}.`);
  if (error instanceof InterimAnswersError) {
    return failed(
      'protocol',
      'The receiver sent interim answers (1xx) without end, and none that says whether it took the webhook.',
    );
  }
  if (error instanceof ProtocolError)
    return failed('protocol', `The receiver's answer is not valid HTTP/1.1: ${error.message}.`);
  if (error instanceof HeadTooLargeError) {
    return failed('too_large', "The receiver's answer has more headers than are read (256 KiB).");
  }
  if (error instanceof ConnectionClosedError) return failed('reset', CLOSED);
  const bound = formatDuration(timeoutMs);
  if (error instanceof AttemptTimeoutError) {
    return error.phase === 'connect'
      ? timedOut('timeout_connect', `No connection to the receiver within ${bound}.`)
      : timedOut('timeout_response', `The receiver did not answer in full within ${bound}.`);
  }
  const code = errorCode(error) ?? '';
  switch (code) {
    case 'UND_ERR_CONNECT_TIMEOUT':
    case 'ETIMEDOUT':
      return timedOut('timeout_connect', `No connection to the receiver within ${bound}.`);
    case 'ENOTFOUND':
      return failed('dns', "The receiver's host name does not exist.");
    case 'EAI_AGAIN':
    case 'EAI_FAIL':
    case 'ENODATA':
    case 'ESERVFAIL':
    case 'EREFUSED':
    case 'ETIMEOUT':
      return failed('dns', "The receiver's host name could not be resolved.");
    case 'ECONNREFUSED':
      return failed(
        'refused',
        "Nothing listens at the receiver's address and port: the connection was refused.",
      );
    case 'EHOSTUNREACH':
    case 'ENETUNREACH':
      return failed('unreachable', "There is no route to the receiver's address.");
    case 'ECONNRESET':
    case 'EPIPE':
      return failed('reset', CLOSED);
  }
  if (TLS_CODE.test(code)) {
    return failed('tls', `A secure connection to the receiver failed: ${tlsReason(error)}.`);
  }
  return failed('connection', `The request failed: ${errorMessage(error)}.`);
}

/** OpenSSL's messages are log lines; only the reason in them says something to people. */
function tlsReason(error: unknown): string {
  const { library, reason } = error as { library?: unknown; reason?: unknown };
  return typeof library === 'string' && typeof reason === 'string' ? reason : errorMessage(error);
}

function failed(errorCode: ErrorCode, error: string): Verdict {
  return { status: 'failed', errorCode, error, retry: true };
}

function timedOut(errorCode: ErrorCode, error: string): Verdict {
  return { status: 'timeout', errorCode, error, retry: true };
}
