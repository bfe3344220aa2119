import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import { EventSourceParserStream } from 'eventsource-parser/stream';
import { OperatorError } from '../lib/errors.ts';
import { callsService, idArgument, request, type Target, TryAgainError } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, dim, print, safe, time } from './output.ts';

interface TailOptions extends Target {
  readonly type?: string;
  readonly subscription?: number;
  readonly state?: string;
}

/** What the events of `GET /v1/stream` have in common. */
interface EventData {
  readonly webhook_id?: string;
  readonly event_type?: string | null;
  readonly subscription_id?: number;
  readonly subscription_url?: string;
  readonly attempt_number?: number | null;
  readonly status?: string;
  readonly response_code?: number | null;
  readonly duration_ms?: number;
  readonly error?: string | null;
  readonly next_attempt_at?: string | null;
  readonly reason?: string | null;
  readonly detail?: string;
  readonly complete_until?: string;
}

/** After the connection is lost, for so long at most between tries. */
const RECONNECT_MS = 2_000;
/** Reasons to connect again: the process stops, or this terminal was too slow. */
const GO_ON = ['shutdown', 'slow_reader'];

/** `posthorn tail`: shows what happens, as it happens. */
export function tailCommand(): Command {
  const command = new Command('tail')
    .description('show what happens to webhooks, as it happens')
    .option('--type <type>', 'only this event type')
    .option(
      '--subscription <id>',
      'only this subscription',
      idArgument('subscription', 'the id of a subscription'),
    )
    .option('--state <state>', 'only deliveries that come into this state, such as failed')
    .addHelpText(
      'after',
      `
It goes on until Ctrl-C. With --json, each event is a line.

Examples:
  $ posthorn tail
  $ posthorn tail --type order.created --state failed
  $ posthorn tail --json | jq -r .webhook_id`,
    )
    .action(tail);
  return callsService(command, 'read');
}

/** Follows the stream, and connects again where it ended, so that no event is missed. */
async function tail({ type, subscription, state, ...target }: TailOptions): Promise<void> {
  let lastId: string | undefined;
  for (let hasConnected = false; ; ) {
    let response: Response;
    try {
      response = await request(target, {
        method: 'GET',
        path: '/v1/stream',
        query: { event_type: type, subscription_id: subscription, state },
        headers: {
          accept: 'text/event-stream',
          ...(lastId === undefined ? {} : { 'last-event-id': lastId }),
        },
      });
    } catch (error) {
      // Not at first: then the URL is more likely to be wrong.
      if (!hasConnected || !(error instanceof TryAgainError)) throw error;
      await sleep(error.afterMs);
      continue;
    }
    hasConnected = true;
    try {
      for await (const { event = 'message', id, data } of eventsOf(response)) {
        lastId = id ?? lastId;
        const read = JSON.parse(data) as EventData;
        if (event === 'end' && !GO_ON.includes(read.reason ?? ''))
          throw new OperatorError(`The stream has ended: ${read.detail ?? read.reason}`, {
            exitCode: EXIT.refused,
          });
        if (event === 'end') continue;
        print(target.json ? JSON.stringify({ event, ...read }) : lineOf(event, read));
      }
    } catch (error) {
      if (error instanceof OperatorError) throw error;
    }
    await sleep(RECONNECT_MS);
  }
}

async function* eventsOf(response: Response) {
  const text = response.body?.pipeThrough(new TextDecoderStream());
  if (text === undefined) return;
  yield* text.pipeThrough(new EventSourceParserStream());
}

function lineOf(event: string, data: EventData): string {
  const now = dim(time(new Date().toISOString()).slice(11));
  if (event === 'late')
    return `${now}  ${dim(`events after ${time(data.complete_until ?? null)} are missing yet: a transaction is open`)}`;
  const to = data.subscription_id === undefined ? '' : ` → ${data.subscription_id}`;
  const facts = [
    ...(data.attempt_number ? [`attempt ${data.attempt_number}`] : []),
    ...(data.status ? [coloured(data.status)] : []),
    ...(data.response_code ? [String(data.response_code)] : []),
    ...(data.duration_ms === undefined ? [] : [`${data.duration_ms} ms`]),
    ...(data.error ? [safe(data.error)] : []),
    ...(event === 'pending' && data.next_attempt_at
      ? [`next attempt ${time(data.next_attempt_at).slice(11)}`]
      : []),
    ...(data.reason ? [safe(data.reason)] : []),
  ];
  const state = event === 'delivered' ? 'succeeded' : event;
  return `${now}  ${coloured(state, event.padEnd(9))} ${safe(data.event_type ?? 'webhook')}${to}  ${facts.join('  ')}  ${dim(data.webhook_id ?? '')}`;
}
