import { Command } from 'commander';
import { call, callPages, callsService, type Target, webhookArgument } from './call.ts';
import { coloured, dim, print, printAnswer, safe, time } from './output.ts';

const PHASES = ['dns', 'connect', 'tls', 'first_byte', 'body'] as const;
type Phase = (typeof PHASES)[number];

interface Attempt {
  readonly attempt_number: number | null;
  readonly status: string;
  readonly response_code: number | null;
  readonly response_excerpt: string | null;
  readonly error: string | null;
  readonly duration_ms: number;
  readonly timing_ms: { readonly connection: string | null } & Readonly<
    Record<Phase, number | null>
  >;
  readonly timestamp: string;
}

interface Delivery {
  readonly id: string;
  readonly state: string;
  readonly subscription_id: number;
  readonly subscription_url: string | null;
  readonly attempts: readonly Attempt[];
}

interface Webhook {
  readonly webhook_id: string;
  readonly event_type: string | null;
  readonly accepted_at: string;
  readonly deliver_at: string | null;
  readonly bytes: number | null;
  readonly content_type: string;
  readonly body?: string | null;
  readonly deliveries: readonly Delivery[];
  readonly more_deliveries: boolean;
}

interface Why {
  readonly why: string;
}

/** So many deliveries are explained; the others are listed with their state. */
const MAX_EXPLAINED = 10;
/** So much of an answer is printed. */
const MAX_EXCERPT = 200;
/** So much of a body is printed. `--json` has all of it. */
const MAX_BODY = 2_000;

/** `posthorn get`: shows what happened to a webhook, and why. */
export function getCommand(): Command {
  const command = new Command('get')
    .description('show what happened to a webhook, and why')
    .argument('<webhook id>', 'the id that the 202 had', webhookArgument({ orDelivery: false }))
    .option('--body', 'print its body too')
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn get 0198f2c4-8a3b-7c11-9d2e-5f60718293a4
  $ posthorn get 0198f2c4-8a3b-7c11-9d2e-5f60718293a4 --json | jq .deliveries`,
    )
    .action(get);
  return callsService(command, 'read');
}

async function get(
  id: string,
  { body, ...target }: Target & { readonly body?: boolean },
): Promise<void> {
  const webhook = await call<Webhook>(target, {
    method: 'GET',
    path: `/v1/webhooks/${encodeURIComponent(id)}`,
    query: body ? { include: 'body' } : {},
  });
  if (target.json) return printAnswer(target, webhook, String);
  print(
    [
      `${safe(webhook.event_type ?? 'webhook')}  ${dim(webhook.webhook_id)}`,
      `accepted ${time(webhook.accepted_at)}, ${webhook.bytes ?? '?'} bytes of ${safe(webhook.content_type)}${webhook.deliver_at === null ? '' : `, scheduled for ${time(webhook.deliver_at)}`}`,
    ].join('\n'),
  );
  if (webhook.deliveries.length === 0) print('No subscription wanted it.');
  for (const [n, delivery] of webhook.deliveries.entries()) {
    print(
      `\nsubscription ${delivery.subscription_id}  ${coloured(delivery.state)}  ${safe(delivery.subscription_url ?? 'pulls')}`,
    );
    for (const attempt of delivery.attempts) print(linesOf(attempt).join('\n'));
    if (n >= MAX_EXPLAINED) continue;
    const { why } = await call<Why>(target, {
      method: 'GET',
      path: `/v1/deliveries/${encodeURIComponent(delivery.id)}/why`,
    });
    print(`  ${safe(why)}`);
  }
  if (webhook.more_deliveries)
    print('\nIt has more deliveries: GET /v1/deliveries?webhook_id=… lists all.');
  if (body && webhook.body)
    print(`\n${webhook.body.slice(0, MAX_BODY).split('\n').map(safe).join('\n')}`);
}

function linesOf(attempt: Attempt): string[] {
  const { attempt_number, status, response_code, error, duration_ms, timestamp } = attempt;
  const { response_excerpt } = attempt;
  const answer = response_code === null ? '' : ` ${response_code}`;
  const why = error === null ? '' : `  ${safe(error)}`;
  const timing = timingOf(attempt);
  return [
    `  ${time(timestamp)}  attempt ${attempt_number ?? '(duplicate)'}  ${coloured(status)}${answer}  ${duration_ms} ms${why}`,
    ...(timing === '' ? [] : [dim(`    ${timing}`)]),
    ...(response_excerpt === null
      ? []
      : [`    answer: ${safe(response_excerpt.slice(0, MAX_EXCERPT))}`]),
  ];
}

/** Says how long each phase took: `new connection: dns 1, connect 3, tls 9, first byte 41, body 0 ms`. */
function timingOf({ timing_ms }: Attempt): string {
  const phases = PHASES.flatMap((phase) =>
    timing_ms[phase] === null ? [] : [`${phase.replace('_', ' ')} ${timing_ms[phase]}`],
  );
  return phases.length === 0 ? '' : `${timing_ms.connection} connection: ${phases.join(', ')} ms`;
}

/** `posthorn retry`: sends a delivery again, or all failed deliveries of a webhook. */
export function retryCommand(): Command {
  const command = new Command('retry')
    .description('send the deliveries of a webhook that failed or were cancelled again, now')
    .argument(
      '<webhook id>',
      'the id of the webhook, or of a delivery: <webhook id>.<subscription>',
      webhookArgument({ orDelivery: true }),
    )
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn retry 0198f2c4-8a3b-7c11-9d2e-5f60718293a4
  $ posthorn retry 0198f2c4-8a3b-7c11-9d2e-5f60718293a4.7      also one that succeeded`,
    )
    .action(retry);
  return callsService(command, 'manage');
}

const ENDED_BADLY = ['failed', 'cancelled'];

async function retry(id: string, target: Target): Promise<void> {
  const ids = id.includes('.') ? [id] : await unsuccessfulOf(id, target);
  const deliveries: unknown[] = [];
  for (const one of ids) {
    const path = `/v1/deliveries/${encodeURIComponent(one)}/retry`;
    deliveries.push(await call<unknown>(target, { method: 'POST', path }));
  }
  printAnswer(target, deliveries, () =>
    ids.length === 0
      ? 'None of its deliveries has failed or was cancelled.'
      : `Sending again: ${ids.join(', ')}`,
  );
}

async function unsuccessfulOf(id: string, target: Target): Promise<string[]> {
  const { deliveries, more_deliveries } = await call<Webhook>(target, {
    method: 'GET',
    path: `/v1/webhooks/${encodeURIComponent(id)}`,
  });
  const all: Pick<Delivery, 'id' | 'state'>[] = more_deliveries ? [] : [...deliveries];
  if (more_deliveries)
    for (const state of ENDED_BADLY)
      all.push(
        ...(await callPages<Delivery>(target, {
          method: 'GET',
          path: '/v1/deliveries',
          query: { webhook_id: id, state },
        })),
      );
  return all.filter(({ state }) => ENDED_BADLY.includes(state)).map(({ id }) => id);
}
