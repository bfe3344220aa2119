import { Command } from 'commander';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { createSigningKey, hubSignature, judgeSharedSecret } from '../signing/sign.ts';
import { type Call, callsService, callText, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { print } from './output.ts';
import { readInput } from './read-input.ts';

interface SendOptions extends Target {
  readonly secret?: string;
}

/** `posthorn send`: hands a webhook to a running Posthorn. */
export function sendCommand(): Command {
  const command = new Command('send')
    .description('hand a webhook to a running Posthorn')
    .argument('<type|subscription>', 'an event type, or the id of a subscription')
    .argument('<json>', 'the data, or payload; @file reads it from a file, - from standard input')
    .option('--secret <secret>', "the subscription's secret, to sign with")
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn send order.created '{"id":7}'            to all subscriptions that want the type
  $ posthorn send 1 '{"event":"order.created"}'       to a subscription, byte for byte
  $ posthorn send 1 @order.json --secret "$SECRET"
  $ cat order.json | posthorn send order.created - --url https://webhooks.internal`,
    )
    .action(send);
  return callsService(command, 'send');
}

async function send(
  to: string,
  payload: string,
  { secret, ...target }: SendOptions,
): Promise<void> {
  const body = await readPayload(payload);
  const toSubscription = /^\d+$/.test(to);
  if (secret !== undefined && !toSubscription)
    throw new OperatorError('--secret signs a webhook for a subscription, not for an event type.', {
      exitCode: EXIT.usage,
    });
  print(await callText(target, toSubscription ? ingest(to, body, secret) : byType(to, body)));
}

function ingest(subscription: string, body: Buffer, secret: string | undefined): Call {
  const problem = secret === undefined ? null : judgeSharedSecret(secret);
  if (problem !== null)
    throw new OperatorError(`The secret cannot be used: ${problem}.`, { exitCode: EXIT.usage });
  return {
    method: 'POST',
    path: `/ingest/${subscription}`,
    body,
    headers:
      secret === undefined
        ? {}
        : { 'x-hub-signature-256': hubSignature(createSigningKey(secret), body) },
  };
}

function byType(eventType: string, body: Buffer): Call {
  let data: unknown;
  try {
    data = JSON.parse(body.toString());
  } catch (error) {
    throw new OperatorError(`The data is not JSON: ${errorMessage(error)}`, {
      exitCode: EXIT.usage,
    });
  }
  return { method: 'POST', path: '/v1/webhooks', body: { event_type: eventType, data } };
}

async function readPayload(payload: string): Promise<Buffer> {
  if (payload === '-') return await readInput('-');
  if (payload.startsWith('@')) return await readInput(payload.slice(1));
  return Buffer.from(payload);
}
