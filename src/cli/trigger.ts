import { Argument, Command } from 'commander';
import { errorMessage, OperatorError } from '../lib/errors.ts';
import { callsService, callText, idArgument, type Target } from './call.ts';
import { EXIT } from './exit-codes.ts';
import { coloured, print, printAnswer, safe, table } from './output.ts';
import { postToReceiver } from './receiver-answer.ts';
import { SAMPLE_EVENTS, type SampleEvent, withFields } from './trigger/catalogue.ts';
import { bodyOf, type Sample } from './trigger/sample.ts';

interface TriggerOptions extends Target {
  readonly list?: boolean;
  readonly to?: string;
  readonly subscription?: number;
  readonly secret?: string;
  readonly set?: readonly string[];
}

/** A sample as it is sent. */
interface Made {
  readonly headers: Record<string, string>;
  readonly body: Buffer;
}

/** What the command prints of the answer of a receiver. */
interface Answered {
  readonly event: string;
  readonly url: string;
  readonly status_code: number;
  readonly duration_ms: number;
  readonly body_excerpt: string;
}

const TIMEOUT_MS = 30_000;
const CONTENT_TYPES: Readonly<Record<Sample['encoding'], string>> = {
  json: 'application/json',
  indented: 'application/json; charset=utf-8',
  form: 'application/x-www-form-urlencoded',
};

/** `posthorn trigger`: sends a sample of a provider's webhook, signed as the provider signs. */
export function triggerCommand(): Command {
  const command = new Command('trigger')
    .description('send a sample webhook of GitHub, Stripe, Shopify or Slack, signed as they sign')
    .addArgument(
      new Argument('[provider.event]', 'the event, such as github.push')
        .choices(SAMPLE_EVENTS.map(({ event }) => event))
        .argParser(findEvent),
    )
    .option('--list', 'list the events')
    .option('--to <url>', 'send it to this URL')
    .option(
      '--subscription <id>',
      'hand it in to Posthorn for this subscription',
      idArgument('subscription', 'the id of a subscription'),
    )
    .option('--secret <secret>', 'sign it with this secret of the provider (default: unsigned)')
    .option(
      '--set <field=json>',
      "change a field of the body: --set 'data.object.amount=500'",
      (field: string, before: readonly string[] = []) => [...before, field],
    )
    .addHelpText(
      'after',
      `
Examples:
  $ posthorn trigger --list
  $ posthorn trigger github.push --to http://localhost:3000/hook --secret "$SECRET"
  $ posthorn trigger stripe.invoice.paid --subscription 7 --secret "$SECRET"
  $ posthorn trigger shopify.orders/create --to http://localhost:3000/hook --set 'total_price="5.00"'

Posthorn takes a signed sample for a subscription whose "verify" has the provider's scheme and this secret.`,
    )
    .action(trigger);
  return callsService(command, 'send');
}

async function trigger(event: SampleEvent | undefined, options: TriggerOptions): Promise<void> {
  const { list, to, subscription, set = [] } = options;
  if (list) return listEvents(options);
  if (event === undefined)
    throw wrong('Give an event, such as github.push. posthorn trigger --list shows all.');
  if ((to === undefined) === (subscription === undefined))
    throw wrong('Give a URL with --to, or the id of a subscription with --subscription.');
  const made = make(event, options.secret, set);
  if (to !== undefined) return sendToUrl(event.event, to, made, options);
  const path = `/ingest/${subscription}`;
  print(await callText(options, { method: 'POST', path, ...made }));
}

function listEvents(target: Target): void {
  const events = SAMPLE_EVENTS.map(({ event, about }) => ({ event, about }));
  printAnswer(target, events, () =>
    table([['event', 'about'], ...events.map(({ event, about }) => [event, about])]),
  );
}

function findEvent(name: string): SampleEvent {
  const found = SAMPLE_EVENTS.find(({ event }) => event === name);
  if (found !== undefined) return found;
  const [provider = ''] = name.split('.');
  const near = SAMPLE_EVENTS.map(({ event }) => event).filter((event) =>
    event.startsWith(`${provider}.`),
  );
  throw wrong(
    near.length === 0
      ? `There is no sample of "${name}". posthorn trigger --list shows all.`
      : `There is no sample of "${name}". Those of ${provider} are ${near.join(', ')}.`,
  );
}

function make(event: SampleEvent, secret: string | undefined, set: readonly string[]): Made {
  if (secret === '') throw wrong('--secret is empty. Leave it out to send without a signature.');
  const now = new Date();
  let sample: Sample;
  try {
    sample = withFields(event.make(now), set.map(readChange));
  } catch (error) {
    if (error instanceof RangeError) throw wrong(`--set cannot be used: ${error.message}.`);
    throw error;
  }
  const body = bodyOf(sample);
  const signature = secret === undefined ? {} : event.sign(secret, body, now);
  const headers = { ...sample.headers, 'content-type': CONTENT_TYPES[sample.encoding] };
  return { headers: { ...headers, ...signature }, body };
}

function readChange(text: string): [path: string, value: unknown] {
  const [, path, value] = /^([^=]+)=(.*)$/s.exec(text) ?? [];
  try {
    if (path !== undefined && value !== undefined) return [path, JSON.parse(value)];
  } catch {
    // It is no JSON.
  }
  throw wrong(`--set is "${text}"; give the path of a field and JSON, as in 'id=7' or 'name="x"'.`);
}

async function sendToUrl(event: string, url: string, made: Made, target: Target): Promise<void> {
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol))
    throw wrong(`--to is "${url}"; give a URL such as http://localhost:3000/hook.`);
  const begun = performance.now();
  let answer: Answered;
  try {
    const { status, excerpt } = await postToReceiver(url, made, TIMEOUT_MS);
    const duration_ms = Math.round(performance.now() - begun);
    answer = { event, url, status_code: status, duration_ms, body_excerpt: excerpt };
  } catch (error) {
    throw new OperatorError(`Nothing answers at ${url} (${errorMessage(error)}).`, {
      exitCode: EXIT.notReachable,
    });
  }
  printAnswer(target, answer, describe);
  if (!isSuccess(answer)) process.exitCode = EXIT.failed;
}

const isSuccess = ({ status_code }: Answered) => status_code >= 200 && status_code < 300;

function describe(answer: Answered): string {
  const { event, url, status_code, duration_ms, body_excerpt } = answer;
  const state = isSuccess(answer) ? 'succeeded' : 'failed';
  const said = body_excerpt === '' ? '' : `\n${safe(body_excerpt)}`;
  return `${event} → ${url}  ${coloured(state, String(status_code))}  ${duration_ms} ms${said}`;
}

function wrong(message: string): OperatorError {
  return new OperatorError(message, { exitCode: EXIT.usage });
}
