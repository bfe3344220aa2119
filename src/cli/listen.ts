import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import type { PulledDelivery } from '../api/pulled-delivery.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { call, callsService, idArgument, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, dim, print, safe } from './output.ts';

interface ListenOptions extends Target {
  readonly forward: readonly string[];
  readonly subscription?: number;
}

/** A receiver on this machine, and the event type that it gets; null: all others. */
interface Forward {
  readonly type: string | null;
  readonly url: string;
}

/** If this program is killed, its subscription is deleted after this time. */
const EXPIRE_AFTER = '2m';
/** The receiver's answer has to come before the lease of a batch ends. */
const ANSWER_MS = 10_000;
const LEASE = '2m';
const BATCH = 5;
const WAIT = '20s';
const MAX_EXCERPT = 1_024;
const RECONNECT_MS = 2_000;
/** Headers of one connection: the request that forwards a webhook has its own. */
const NOT_FORWARDED = new Set(['accept-encoding', 'connection', 'content-length', 'host']);

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
    .addHelpText(
      'after',
      `
The answer of the receiver is recorded as an attempt. It goes on until Ctrl-C.

Examples:
  $ posthorn listen --forward http://localhost:3000/hook
  $ posthorn listen --forward order.created=http://localhost:3000/orders --forward http://localhost:3000/other`,
    )
    .action(listen);
  return callsService(command, 'manage, or pull with --subscription');
}

async function listen({ forward, subscription, ...target }: ListenOptions): Promise<void> {
  const forwards = forward.map(forwardOf);
  const ending = new AbortController();
  const end = () => ending.abort();
  const id = subscription ?? (await subscribe(target, forwards));
  process.once('SIGINT', end);
  process.once('SIGTERM', end);
  if (target.json) print(JSON.stringify({ event: 'listening', subscription_id: id }));
  else print(`Listening as subscription ${id}. Ctrl-C ends it.`);
  try {
    await pullAll(target, id, forwards, ending.signal);
  } finally {
    if (subscription === undefined)
      await call(target, { method: 'DELETE', path: `/v1/subscriptions/${id}` });
  }
}

async function subscribe(target: Target, forwards: readonly Forward[]): Promise<number> {
  const types = forwards.map(({ type }) => type);
  const created = await call<{ id: number; secret: string }>(target, {
    method: 'POST',
    path: '/v1/subscriptions',
    body: {
      url: null,
      expire_after: EXPIRE_AFTER,
      generate_secret: true,
      description: 'posthorn listen',
      event_types: types.includes(null) ? null : types,
    },
  });
  if (!target.json) print(`Its secret is ${created.secret}`);
  return created.id;
}

async function pullAll(
  target: Target,
  id: number,
  forwards: readonly Forward[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    try {
      const { deliveries } = await call<{ deliveries: readonly PulledDelivery[] }>(target, {
        method: 'GET',
        path: `/v1/subscriptions/${id}/pull`,
        query: { batch: BATCH, wait: WAIT, lease: LEASE },
        signal,
      });
      for (const delivery of deliveries) {
        // Deliveries that were pulled and not tried yet are given back at once.
        const result = signal.aborted
          ? { token: delivery.token, result: 'released' }
          : await forwardOne(target, delivery, forwards);
        await call(target, {
          method: 'POST',
          path: `/v1/subscriptions/${id}/acknowledge`,
          body: { results: [result] },
        });
      }
    } catch (error) {
      if (signal.aborted && !(error instanceof OperatorError)) return;
      // A process that is started again is away for seconds; a wrong key stays wrong.
      if ((error as OperatorError).exitCode !== EXIT.notReachable) throw error;
      await sleep(RECONNECT_MS, undefined, { signal }).catch(() => {});
    }
  }
}

async function forwardOne(target: Target, delivery: PulledDelivery, forwards: readonly Forward[]) {
  const { token, event_type, webhook_id, attempt_number } = delivery;
  const to =
    forwards.find(({ type }) => type !== null && type === event_type) ??
    forwards.find(({ type }) => type === null);
  const result =
    to === undefined
      ? { result: 'failed', error: 'No --forward is for this event type.' }
      : await send(delivery, to.url);
  const facts = 'response_code' in result ? String(result.response_code) : result.error;
  if (target.json)
    print(JSON.stringify({ event: 'attempt', webhook_id, event_type, attempt_number, ...result }));
  else
    print(
      `${coloured(result.result === 'delivered' ? 'succeeded' : 'failed', result.result.padEnd(9))} ${safe(event_type ?? 'webhook')} → ${to?.url ?? 'nowhere'}  attempt ${attempt_number}  ${safe(facts ?? '')}  ${dim(webhook_id)}`,
    );
  return { token, ...result };
}

async function send({ headers, body, encoding }: PulledDelivery, url: string) {
  const forwarded = Object.entries(headers).filter(([name]) => !NOT_FORWARDED.has(name));
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers: Object.fromEntries(forwarded),
      body: new Uint8Array(Buffer.from(body, encoding === 'base64' ? 'base64' : 'utf8')),
      redirect: 'manual',
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    const text = (await response.text()).slice(0, MAX_EXCERPT);
    return {
      result: response.ok ? 'delivered' : 'failed',
      response_code: response.status,
      ...(text === '' ? {} : { response_excerpt: text }),
    };
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    return {
      result: 'failed',
      error: `No answer from ${url}: ${errorMessage(cause ?? error)}.`.slice(0, 1_000),
    };
  }
}

/** @throws OperatorError for what is neither a URL nor an event type with one. */
function forwardOf(text: string): Forward {
  const [, type = null, url = ''] = /^(?:([A-Za-z0-9_.*-]+)=)?(https?:\/\/.*)$/.exec(text) ?? [];
  if (URL.canParse(url)) return { type, url };
  throw new OperatorError(
    `--forward is "${text}"; give a URL such as http://localhost:3000/hook, or <event type>=<url>.`,
    { exitCode: EXIT.usage },
  );
}
