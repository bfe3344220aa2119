import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { createSigningKey, hubSignature, judgeSharedSecret } from '../signing/sign.ts';
import { call, idArgument, type Target, URL_OPTION } from './call.ts';

interface SendOptions extends Target {
  readonly secret?: string;
}

/** `posthorn send`: hands a webhook to a running Posthorn. */
export function sendCommand(): Command {
  return new Command('send')
    .description('hand a webhook to a running Posthorn')
    .argument(
      '<subscription>',
      'id of the subscription',
      idArgument('subscription', 'the id of a subscription'),
    )
    .argument('<json>', 'the payload; @file reads it from a file, - from standard input')
    .option(...URL_OPTION)
    .option('--secret <secret>', "the subscription's secret, to sign with")
    .option(
      '--key <key>',
      'a key with the scope send (default: POSTHORN_ADMIN_KEY, of the environment or .env)',
    )
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn send 1 '{"event":"order.created"}'
  $ posthorn send 1 @order.json --secret "$SECRET"
  $ cat order.json | posthorn send 1 - --url https://webhooks.internal`,
    )
    .action(send);
}

async function send(
  subscription: number,
  payload: string,
  { secret, ...target }: SendOptions,
): Promise<void> {
  const body = await readPayload(payload);
  const problem = secret === undefined ? null : judgeSharedSecret(secret);
  if (problem !== null) throw new OperatorError(`The secret cannot be used: ${problem}.`);
  const text = await call(target, {
    method: 'POST',
    path: `/ingest/${subscription}`,
    body,
    headers:
      secret === undefined
        ? {}
        : { 'x-hub-signature-256': hubSignature(createSigningKey(secret), body) },
  });
  process.stdout.write(`${text}\n`);
}

async function readPayload(payload: string): Promise<Buffer> {
  try {
    if (payload === '-') return await readFile('/dev/stdin');
    if (payload.startsWith('@')) return await readFile(payload.slice(1));
  } catch (error) {
    throw new OperatorError(`The payload cannot be read: ${errorMessage(error)}`);
  }
  return Buffer.from(payload);
}
