import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { parseDuration } from '../lib/duration.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, callsService, idArgument, type Target, webhookArgument } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, print, printAnswer } from './output.ts';

interface Task {
  readonly id: string;
  readonly kind: string;
  readonly state: 'waiting' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  readonly examined: number;
  readonly changed: number;
  readonly progress: number | null;
  readonly error: string | null;
}

interface PeriodOptions extends Target {
  readonly since: string;
  readonly until?: string;
  readonly types?: string;
  readonly states?: string;
  readonly rate?: string;
  readonly subscription?: number;
  readonly detach?: boolean;
}

const POLL_MS = 500;
const BAR = 30;

/** `posthorn replay`: sends the deliveries of a period again. */
export function replayCommand(): Command {
  const command = new Command('replay')
    .description('send the deliveries of a period to a subscription again')
    .argument('<subscription>', 'id of the subscription', SUBSCRIPTION)
    .requiredOption('--since <time>', SINCE)
    .option('--until <time>', 'the end of the period (default: now)')
    .option(
      '--states <states>',
      'succeeded, failed, cancelled; with commas (default: the last two)',
    )
    .option('--types <types>', 'only these event types, with commas')
    .option('--rate <n>', 'deliveries a second')
    .option('--detach', 'do not wait until it has ended')
    .addHelpText(
      'after',
      `
Ctrl-C leaves it running.

Examples:
  $ posthorn replay 7 --since 2h
  $ posthorn replay 7 --since 2026-11-28T09:00:00Z --states succeeded --types 'order.*' --rate 50`,
    )
    .action((subscription: number, options: PeriodOptions) =>
      begin(options, `/v1/subscriptions/${subscription}/replay`),
    );
  return callsService(command, 'manage');
}

/** `posthorn cancel`: cancels the deliveries of a webhook, or the pending ones of a period. */
export function cancelCommand(): Command {
  const command = new Command('cancel')
    .description('cancel deliveries that have not ended')
    .argument(
      '[webhook id]',
      'only those of this webhook, or only this delivery: <webhook id>.<subscription>',
      webhookArgument({ orDelivery: true }),
    )
    .option('--since <time>', SINCE)
    .option('--until <time>', 'the end of the period (default: now)')
    .option('--subscription <id>', 'only those to this subscription', SUBSCRIPTION)
    .option('--types <types>', 'only these event types, with commas')
    .option('--detach', 'do not wait until it has ended')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn cancel 0198f2c4-8a3b-7c11-9d2e-5f60718293a4
  $ posthorn cancel 0198f2c4-8a3b-7c11-9d2e-5f60718293a4.7
  $ posthorn cancel --since 1h --subscription 7`,
    )
    .action(cancel);
  return callsService(command, 'manage');
}

const SUBSCRIPTION = idArgument('subscription', 'the id of a subscription');
const SINCE = 'the beginning of the period: a time (2026-11-28T09:00:00Z), or how long ago (2h)';

async function cancel(
  id: string | undefined,
  options: Partial<Pick<PeriodOptions, 'since'>> & Omit<PeriodOptions, 'since'>,
): Promise<void> {
  const { since } = options;
  if ((id === undefined) === (since === undefined))
    throw new OperatorError(
      'Give the id of a webhook or of a delivery, or a period with --since.',
      {
        exitCode: EXIT.usage,
      },
    );
  if (since !== undefined) return begin({ ...options, since }, '/v1/deliveries/cancel');
  const path = encodeURIComponent(id as string);
  if (path.includes('.')) return cancelDelivery(path, options);
  const answer = await call<{ cancelled: number }>(options, {
    method: 'POST',
    path: `/v1/webhooks/${path}/cancel`,
  });
  printAnswer(options, answer, () => `${answer.cancelled} deliveries are cancelled.`);
}

async function cancelDelivery(path: string, target: Target): Promise<void> {
  const answer = await call<{ request_may_be_open: boolean }>(target, {
    method: 'POST',
    path: `/v1/deliveries/${path}/cancel`,
  });
  printAnswer(target, answer, () =>
    answer.request_may_be_open
      ? 'It is cancelled. It was due: a request that is open is not aborted, and its result is recorded.'
      : 'It is cancelled.',
  );
}

/** Starts a task, and follows it until it has ended. */
async function begin(options: PeriodOptions, path: string): Promise<void> {
  const { since, until, types, states, rate, subscription, detach, ...target } = options;
  const listOf = (text: string) => text.split(',').map((one) => one.trim());
  const task = await call<Task>(target, {
    method: 'POST',
    path,
    body: {
      since: readTime('--since', since),
      ...(until === undefined ? {} : { until: readTime('--until', until) }),
      ...(types === undefined ? {} : { event_types: listOf(types) }),
      ...(states === undefined ? {} : { states: listOf(states) }),
      ...(rate === undefined ? {} : { rate: Number(rate) }),
      ...(subscription === undefined ? {} : { subscription_id: subscription }),
    },
  });
  const ended = detach ? task : await follow(target, task);
  print(target.json ? JSON.stringify(ended, null, 2) : summary(ended));
  if (ended.state === 'failed') process.exitCode = EXIT.failed;
}

function summary({ id, kind, state, changed, error }: Task): string {
  if (state === 'waiting' || state === 'running') return `The ${kind} ${id} is running.`;
  return `${coloured(state)}: ${changed} deliveries${error === null ? '' : ` (${error})`}`;
}

async function follow(target: Target, begun: Task): Promise<Task> {
  const leave = () => {
    process.stderr.write(`\nThe ${begun.kind} goes on: GET /v1/tasks/${begun.id} shows it.\n`);
    process.exit(0);
  };
  process.once('SIGINT', leave);
  const draws = process.stderr.isTTY && !target.json;
  let task = begun;
  while (task.state === 'waiting' || task.state === 'running') {
    if (draws) process.stderr.write(`\r${bar(task)}`);
    await sleep(POLL_MS);
    task = await call<Task>(target, { method: 'GET', path: `/v1/tasks/${begun.id}` });
  }
  if (draws) process.stderr.write(`\r${bar(task)}\n`);
  process.off('SIGINT', leave);
  return task;
}

function bar({ progress, changed }: Task): string {
  const share = Math.min(1, progress ?? 0);
  const filled = Math.round(share * BAR);
  return `[${'#'.repeat(filled)}${'.'.repeat(BAR - filled)}] ${Math.floor(share * 100)} %  ${changed} deliveries `;
}

/**
 * Reads a time, or how long ago it is.
 *
 * @throws OperatorError that names the option.
 */
export function readTime(option: string, text: string): string {
  if (/^\d{4}-/.test(text)) {
    const at = new Date(text);
    if (!Number.isNaN(at.getTime())) return at.toISOString();
  }
  try {
    return new Date(Date.now() - parseDuration(text)).toISOString();
  } catch (error) {
    throw new OperatorError(
      `${option} is "${text}": give a time such as 2026-11-28T09:00:00Z, or how long ago, such as 2h (${errorMessage(error)}).`,
      { exitCode: EXIT.usage },
    );
  }
}
