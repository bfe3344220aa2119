import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { PulledDelivery } from '../api/pulled-delivery.ts';
import { OperatorError } from '../lib/errors.ts';
import { call, callsService, idArgument, type Target, TryAgainError } from './call.ts';
import { EXIT } from './exit-codes.ts';
import {
  chooseForward,
  type Forward,
  type ForwardResult,
  forwardOf,
  forwardTo,
  typesOf,
} from './listen/forward.ts';
import { coloured, dim, print, safe } from './output.ts';

interface ListenOptions extends Target {
  readonly forward: readonly string[];
  readonly subscription?: number;
  readonly replay?: number;
}

/** If this program is killed, its subscription is deleted after this time. */
const EXPIRE_AFTER = '2m';
const LEASE = '2m';
const BATCH = 5;
const WAIT = '20s';
/** The most webhooks that one request replays. */
const MAX_REPLAYED = 100;

/** `posthorn listen`: gets webhooks over an outgoing connection, and forwards them to this machine. */
export function listenCommand(): Command {
  const command = new Command('listen')
    .description('get webhooks on this machine, behind any firewall')
    .requiredOption(
      '--forward <url>',
      'where to send them, such as http://localhost:3000/hook, or <event type>=<url>; may be repeated',
      (text: string, before: readonly string[] = []) => [...before, text],
    )
    .option(
      '--subscription <id>',
      'a subscription without a URL (default: a new one, which is deleted at the end)',
      idArgument('subscription', 'the id of a subscription'),
    )
    .option(
      '--replay <n>',
      `first send the last n webhooks of these event types again, at most ${MAX_REPLAYED}`,
      replayOf,
    )
    .addHelpText(
      'after',
      `
The answer of the receiver is recorded as an attempt. It goes on until Ctrl-C.

Examples:
  $ posthorn listen --forward http://localhost:3000/hook
  $ posthorn listen --forward http://localhost:3000/hook --replay 10
  $ posthorn listen --forward 'order.*=http://localhost:3000/orders' --forward http://localhost:3000/other`,
    )
    .action(listen);
  return callsService(command, 'manage, or pull with --subscription');
}

async function listen({ forward, subscription, replay, ...target }: ListenOptions): Promise<void> {
  const forwards = forward.map(forwardOf);
  const ending = new AbortController();
  const end = () => ending.abort();
  const id = subscription ?? (await subscribe(target, forwards));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  try {
    if (replay !== undefined) await replayLast(target, id, replay, typesOf(forwards));
    await pullAll(target, id, forwards, ending.signal);
  } finally {
    if (subscription === undefined)
      await call(target, { method: 'DELETE', path: `/v1/subscriptions/${id}` });
  }
}

async function subscribe(target: Target, forwards: readonly Forward[]): Promise<number> {
  const created = await call<{ id: number; secret: string }>(target, {
    method: 'POST',
    path: '/v1/subscriptions',
    body: {
      url: null,
      expire_after: EXPIRE_AFTER,
      generate_secret: true,
      description: 'posthorn listen',
      event_types: typesOf(forwards),
    },
  });
  if (!target.json) print(`Its secret is ${created.secret}`);
  return created.id;
}

async function replayLast(
  target: Target,
  id: number,
  last: number,
  eventTypes: string[] | null,
): Promise<void> {
  const { webhook_ids } = await call<{ webhook_ids: readonly string[] }>(target, {
    method: 'POST',
    path: `/v1/subscriptions/${id}/replay-latest`,
    body: { last, ...(eventTypes === null ? {} : { event_types: eventTypes }) },
  });
  const many = webhook_ids.length;
  if (target.json) print(JSON.stringify({ event: 'replaying', webhook_ids }));
  else if (many === 0) print('There are no webhooks to replay.');
  else
    print(`Replaying the last ${many === 1 ? 'webhook' : `${many} webhooks`}, the oldest first.`);
}

/** Pulls, forwards and acknowledges. Each step is done again when Posthorn is back, so that no result is lost. */
async function pullAll(
  target: Target,
  id: number,
  forwards: readonly Forward[],
  signal: AbortSignal,
): Promise<void> {
  const path = `/v1/subscriptions/${id}`;
  let pulled: readonly PulledDelivery[] = [];
  let results: readonly (ForwardResult & { readonly token: string })[] = [];
  let isConnected = false;
  for (;;) {
    try {
      if (results.length > 0) {
        await call(target, { method: 'POST', path: `${path}/acknowledge`, body: { results } });
        results = [];
      }
      const [delivery, ...others] = pulled;
      if (delivery !== undefined) {
        // Deliveries that were pulled and not tried yet are given back at once.
        const result = signal.aborted
          ? ({ result: 'released' } as const)
          : await forwardOne(target, delivery, forwards);
        results = [{ token: delivery.token, ...result }];
        pulled = others;
        continue;
      }
      if (signal.aborted) return;
      const answer = await call<{ deliveries: readonly PulledDelivery[] }>(target, {
        method: 'GET',
        path: `${path}/pull`,
        // The first one does not wait, because it shows that the subscription can be pulled.
        query: { batch: BATCH, wait: isConnected ? WAIT : '0s', lease: LEASE },
        signal,
      });
      pulled = answer.deliveries;
      if (!isConnected) sayListening(target, id);
      isConnected = true;
    } catch (error) {
      if (signal.aborted && (error as Error).name === 'AbortError') continue;
      // Not at first: then the URL is more likely to be wrong.
      if (!isConnected || signal.aborted || !(error instanceof TryAgainError)) throw error;
      process.stderr.write(`posthorn: ${error.message} Trying again.\n`);
      await sleep(error.afterMs, undefined, { signal }).catch(() => {});
    }
  }
}

function sayListening(target: Target, id: number): void {
  if (target.json) print(JSON.stringify({ event: 'listening', subscription_id: id }));
  else print(`Listening as subscription ${id}. Ctrl-C ends it.`);
}

async function forwardOne(
  target: Target,
  delivery: PulledDelivery,
  forwards: readonly Forward[],
): Promise<ForwardResult> {
  const { event_type, webhook_id, attempt_number } = delivery;
  const to = chooseForward(forwards, event_type);
  const result = await forwardTo(to, delivery);
  const facts = result.response_code ?? result.error ?? '';
  if (target.json)
    print(JSON.stringify({ event: 'attempt', webhook_id, event_type, attempt_number, ...result }));
  else
    print(
      `${coloured(result.result === 'delivered' ? 'succeeded' : 'failed', result.result.padEnd(9))} ${safe(event_type ?? 'webhook')} → ${to?.url ?? 'nowhere'}  attempt ${attempt_number}  ${safe(String(facts))}  ${dim(webhook_id)}`,
    );
  return result;
}

function replayOf(text: string): number {
  const many = /^\d{1,3}$/.test(text) ? Number(text) : 0;
  if (many >= 1 && many <= MAX_REPLAYED) return many;
  throw new OperatorError(`--replay is "${text}"; give a number from 1 to ${MAX_REPLAYED}.`, {
    exitCode: EXIT.usage,
  });
}
