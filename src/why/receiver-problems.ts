import type pg from 'pg';
import { STATUS_CODES } from '../lib/node-http.ts';
import { ERROR_CODES, type ErrorCode } from '../sending/classify.ts';
import {
  type Change,
  editUrl,
  enable,
  pause,
  replaySince,
  retry,
  rotateSecret,
} from './changes.ts';
import {
  type FoundProblem,
  type FoundProblems,
  findProblems,
  type ProblemFilter,
} from './receiver-problems.sql.ts';
import { countOf, timeOf } from './words.ts';

/** Why deliveries of a subscription fail: a code that attempts record, or what shows in no attempt. */
export type Cause = Exclude<ErrorCode, 'answer_cut_off'> | 'expired' | 'disabled' | 'other';

export const CAUSES: readonly Cause[] = [
  ...ERROR_CODES.filter((code) => code !== 'answer_cut_off'),
  'expired',
  'disabled',
  // A code of another version.
  'other',
];

/** Failures of a subscription with one cause, and what to do about them. */
export interface ReceiverProblem extends Omit<FoundProblem, 'error_code'> {
  /** The subscription and the cause: `7.http_status_503`. */
  readonly id: string;
  readonly cause: Cause;
  readonly sentence: string;
  readonly next_step: Change;
}

export interface ReceiverProblems extends Pick<FoundProblems, 'next' | 'completeSince'> {
  readonly rows: readonly ReceiverProblem[];
}

/**
 * Lists the problems of a tenant's receivers, those that failed last first: see `findProblems`.
 *
 * @param now for the times in the sentences.
 */
export async function listProblems(
  pool: pg.Pool,
  filter: ProblemFilter,
  limit: number,
  after: readonly string[] | undefined,
  now = new Date(),
): Promise<ReceiverProblems> {
  const { rows, ...beside } = await findProblems(pool, filter, limit, after);
  return {
    ...beside,
    rows: rows.map(({ error_code, ...problem }) => {
      const cause = CAUSES.find((known) => known === error_code) ?? 'other';
      const { subscription_id, response_code } = problem;
      const code = response_code === null ? '' : `_${response_code}`;
      return {
        id: `${subscription_id}.${cause}${code}`,
        cause,
        ...problem,
        sentence: sentenceOf(cause, problem, now),
        next_step: nextStepOf(cause, problem),
      };
    }),
  };
}

type Details = Omit<FoundProblem, 'error_code'>;

/** What has to be changed: the URL, the secret, the receiver, or Posthorn's own set-up. */
type Remedy = 'url' | 'secret' | 'receiver';

const KINDS: {
  readonly [C in Cause]: { says(problem: Details): string; remedy(problem: Details): Remedy };
} = {
  http_status: {
    says: ({ response_code }) => `its receiver answers ${nameOf(response_code)}`,
    remedy: ({ response_code }) =>
      response_code === 401 || response_code === 403
        ? 'secret'
        : response_code === 404 || response_code === 405
          ? 'url'
          : 'receiver',
  },
  redirect: {
    says: ({ response_code }) =>
      `its receiver answers ${nameOf(response_code)}, and redirects are not followed`,
    remedy: () => 'url',
  },
  gone: { says: () => 'its receiver answers 410 Gone: it wants no more', remedy: () => 'url' },
  timeout_connect: {
    says: () => 'no connection to its receiver is made in time',
    remedy: () => 'receiver',
  },
  timeout_response: {
    says: () => 'its receiver does not answer in time',
    remedy: () => 'receiver',
  },
  refused: {
    says: () => "its receiver's host refuses the connection",
    remedy: () => 'receiver',
  },
  unreachable: {
    says: () => "there is no route to its receiver's address",
    remedy: () => 'receiver',
  },
  reset: {
    says: () => 'its receiver closes the connection before it has answered',
    remedy: () => 'receiver',
  },
  connection: { says: () => 'requests to its receiver fail', remedy: () => 'receiver' },
  protocol: {
    says: () => 'its receiver answers with something that is not HTTP',
    remedy: () => 'receiver',
  },
  too_large: {
    says: () => 'its receiver answers with too many headers',
    remedy: () => 'receiver',
  },
  mail: {
    says: () => 'the mail server does not take its e-mails',
    remedy: () => 'receiver',
  },
  dns: {
    says: () => "the host name of its receiver's URL cannot be resolved",
    remedy: () => 'url',
  },
  tls: {
    says: () => 'no secure connection to its receiver can be made',
    remedy: () => 'receiver',
  },
  blocked: {
    says: () => 'its URL leads to an address that is not allowed',
    remedy: () => 'url',
  },
  proxy: { says: () => 'the egress proxy does not let requests through', remedy: () => 'receiver' },
  subscription: {
    says: () => 'it is not valid, so nothing is sent',
    remedy: () => 'secret',
  },
  payload_unreadable: {
    says: () => 'the bodies of its webhooks cannot be read',
    remedy: () => 'receiver',
  },
  lease_ended: {
    says: () => 'its receiver pulls webhooks and does not acknowledge them in time',
    remedy: () => 'receiver',
  },
  pull_failed: {
    says: () => 'its receiver pulls webhooks and reports that they fail',
    remedy: () => 'receiver',
  },
  expired: {
    says: ({ subscription_url }) =>
      subscription_url === null
        ? 'deliveries expired, because nobody pulled them'
        : 'deliveries expired before they were tried, because its circuit was open',
    remedy: () => 'receiver',
  },
  disabled: { says: () => 'it is disabled, and deliveries are held', remedy: () => 'receiver' },
  other: { says: () => 'attempts fail', remedy: () => 'receiver' },
};

function nameOf(code: number | null): string {
  return `${code} ${STATUS_CODES[code ?? 0] ?? ''}`.trim();
}

function sentenceOf(cause: Cause, problem: Details, now: Date): string {
  const {
    subscription_id,
    status,
    circuit_open,
    since,
    last_at,
    waiting,
    failed,
    held,
    held_more,
  } = problem;
  const last = last_at.getTime() === since.getTime() ? '' : `, last at ${timeOf(last_at, now)}`;
  const also =
    cause === 'disabled'
      ? []
      : [
          status === 'disabled' ? 'it is disabled' : '',
          status === 'paused' ? 'it is paused' : '',
          status === 'active' && circuit_open ? 'its circuit is open' : '',
        ];
  const counts = [
    ...also,
    waiting === 0
      ? ''
      : countOf(waiting, 'delivery waits for a retry', 'deliveries wait for a retry'),
    failed === 0 ? '' : countOf(failed, 'delivery has failed', 'deliveries have failed'),
    held === 0 ? '' : countOf(held, 'delivery is held', 'deliveries are held', held_more),
  ].filter((part) => part !== '');
  const consequences = counts.length === 0 ? '' : `; ${counts.join(', ')}`;
  return `Subscription ${subscription_id}: ${KINDS[cause].says(problem)}, since ${timeOf(since, now)}${last}${consequences}.`;
}

/** Decides on the one thing to do next. */
function nextStepOf(cause: Cause, problem: Details): Change {
  const { subscription_id: id, status, circuit_open, failing, waiting, failed_since } = problem;
  if (status === 'disabled') return enable(id, 'once its receiver is mended, to send what is held');
  const remedy = KINDS[cause].remedy(problem);
  // Without a URL, its receiver reports what another one answered.
  if (remedy === 'url' && problem.subscription_url !== null) return editUrl(id);
  if (remedy === 'secret') return rotateSecret(id);
  if (circuit_open)
    return enable(id, 'once its receiver is mended, to close the circuit and send what is held');
  if (failed_since !== null)
    return replaySince(
      id,
      failed_since,
      'once its receiver is mended, to send what has failed again',
    );
  if (failing && waiting > 1 && status === 'active')
    return pause(id, 'until its receiver is mended, so that no attempts are used up');
  return retry(
    { webhookId: problem.first_webhook, subscriptionId: id },
    'to try the first one now',
  );
}
