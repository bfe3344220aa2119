import { type Command, Option } from 'commander';
import { loadProfile } from '../config/profiles.ts';
import { loadAdminKey, loadServiceUrl } from '../config/service-nearby.ts';
import { errorCode, errorMessage, OperatorError } from '../lib/errors.ts';
import { EXIT, exitCodeOf } from './exit-codes.ts';

/** The options of commands that call a running Posthorn. */
export interface Target {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
  readonly profile?: string | undefined;
  readonly tenant?: string | undefined;
  readonly json?: boolean | undefined;
  /** The command that runs: errors name its options. */
  readonly command?: Command | undefined;
}

/** Adds the options of `Target` to a command. */
export function callsService(command: Command, scope: string): Command {
  return command
    .hook('preAction', () => void command.setOptionValue('command', command))
    .option('--url <url>', 'URL of Posthorn (default: POSTHORN_URL, else that of HOST and PORT)')
    .option(
      '--key <key>',
      `a key with the scope ${scope} (default: POSTHORN_KEY, else POSTHORN_ADMIN_KEY)`,
    )
    .option('--profile <name>', 'URL and key of a profile in ~/.config/posthorn/config.json')
    .addOption(new Option('--tenant <tenant>', 'the tenant, for a key of all tenants'))
    .option('--json', 'print the answer of the API as JSON');
}

/** What to send. */
export interface Call {
  readonly method: 'GET' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  /** Bytes are sent as they are, anything else as JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

/** A request that may succeed when it is sent again: no Posthorn answers, or it can do no more at the moment. */
export class TryAgainError extends OperatorError {
  /** When to send it again. */
  readonly afterMs: number;

  constructor(message: string, exitCode: number, afterMs: number) {
    super(message, { exitCode });
    this.afterMs = afterMs;
  }
}

/** A process that is started again is away for seconds. */
const AWAY_MS = 2_000;
/** The answers that say when to come again (RFC 9110, 10.2.3; RFC 6585, 4). */
const TRY_AGAIN = [429, 503];

/**
 * Sends a request to a running Posthorn.
 *
 * @returns the answer, whose body is not read yet.
 * @throws TryAgainError when no Posthorn answers there (exit code 5), or when the answer is 429 or 503.
 * @throws OperatorError when the answer is another error.
 */
export async function request(target: Target, call: Call): Promise<Response> {
  const { url, key } = addressOf(target);
  const { method, path, query = {}, body, headers = {}, signal } = call;
  const address = new URL(path, url);
  for (const [name, value] of Object.entries({ tenant: target.tenant, ...query }))
    if (value !== undefined) address.searchParams.set(name, String(value));
  let response: Response;
  try {
    response = await fetch(address, {
      method,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body === undefined
        ? {}
        : { body: Buffer.isBuffer(body) ? new Uint8Array(body) : JSON.stringify(body) }),
      signal: signal ?? null,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    const { cause } = error as { cause?: unknown };
    throw new TryAgainError(
      `No Posthorn answers at ${url} (${whyNoAnswer(cause ?? error)}). Start it with posthorn start, or give another URL with --url.`,
      EXIT.notReachable,
      AWAY_MS,
    );
  }
  if (!response.ok) throw await refusalOf(url, response, target.command);
  return response;
}

function whyNoAnswer(error: unknown): string {
  if (errorCode(error) === 'ERR_SSL_WRONG_VERSION_NUMBER')
    return 'it speaks no TLS; does its URL begin with http: instead of https:?';
  return errorMessage(error).trim().replaceAll(/\s+/g, ' ');
}

async function refusalOf(
  url: string,
  response: Response,
  command: Command | undefined,
): Promise<OperatorError> {
  const { status, headers } = response;
  const message = `${url} answered ${status}: ${detailOf(await response.text(), command)}`;
  const exitCode = exitCodeOf(status);
  if (!TRY_AGAIN.includes(status)) return new OperatorError(message, { exitCode });
  const seconds = Number(headers.get('retry-after') ?? Number.NaN);
  return new TryAgainError(message, exitCode, seconds > 0 ? seconds * 1_000 : AWAY_MS);
}

/** Sends a request and returns the text of its answer. Throws like `request`. */
export async function callText(target: Target, call: Call): Promise<string> {
  const response = await request(target, call);
  try {
    return await response.text();
  } catch (error) {
    if (call.signal?.aborted) throw error;
    const { cause } = error as { cause?: unknown };
    throw new TryAgainError(
      `The answer of ${response.url} was cut off (${errorMessage(cause ?? error)}).`,
      EXIT.notReachable,
      AWAY_MS,
    );
  }
}

/**
 * Sends a request and returns its answer, read as JSON; undefined if it has no body. Throws like `request`.
 *
 * @throws OperatorError when the answer is not JSON, so that of another program (exit code 5).
 */
export async function call<Answer>(target: Target, what: Call): Promise<Answer> {
  const text = await callText(target, what);
  try {
    return (text === '' ? undefined : JSON.parse(text)) as Answer;
  } catch {
    throw new OperatorError(
      `No Posthorn answers at ${addressOf(target).url}: the answer is not JSON. Give another URL with --url.`,
      { exitCode: EXIT.notReachable },
    );
  }
}

/** Lists rows, page by page, at most `most`. */
export async function callPages<Row>(
  target: Target,
  { query = {}, ...what }: Call,
  most = Number.POSITIVE_INFINITY,
): Promise<Row[]> {
  const rows: Row[] = [];
  let cursor: string | undefined;
  do {
    const page = await call<{ data: Row[]; next_cursor: string | null }>(target, {
      ...what,
      query: { limit: Math.min(most - rows.length, PAGE), ...query, cursor },
    });
    rows.push(...page.data);
    cursor = page.next_cursor ?? undefined;
  } while (cursor !== undefined && rows.length < most);
  return rows;
}

/** Rows of a page. */
const PAGE = 100;

/** Returns where Posthorn is. What is nearer to the command wins: options, a named profile, the environment, files. */
function addressOf({ url, key, profile }: Target): { url: string; key: string | undefined } {
  const { env } = process;
  const named = profile ?? (env.POSTHORN_PROFILE || undefined);
  const stored = loadProfile(named, env);
  const given =
    named === undefined
      ? { url: env.POSTHORN_URL || stored.url, key: env.POSTHORN_KEY || stored.key }
      : stored;
  const address = url ?? given.url ?? loadServiceUrl();
  if (!URL.canParse(address) || !/^https?:$/.test(new URL(address).protocol))
    throw new OperatorError(
      `"${address}" is not a URL of Posthorn; give one such as http://localhost:5000.`,
      {
        exitCode: EXIT.usage,
      },
    );
  return { url: address, key: key ?? given.key ?? loadAdminKey() };
}

/** Returns what a problem says, and what is wrong with each option. */
function detailOf(text: string, command: Command | undefined): string {
  try {
    const { detail, errors = [] } = JSON.parse(text) as {
      detail?: string;
      errors?: readonly { field: string; message: string }[];
    };
    const [only] = errors;
    const options = errors.map(({ field, message }) =>
      `${field} ${message}`.replaceAll(FIELD, (name) => optionOf(name, command)),
    );
    if (only === undefined) return detail ?? text;
    if (detail === undefined || detail.includes(`${only.field} ${only.message}`))
      return options.join('; ');
    return [detail, ...options].join(' ');
  } catch {
    return text.slice(0, 200);
  }
}

/** A field in a problem. */
const FIELD = /\b(?:body|query)(?:\.\w+)+/g;

/** The options and arguments with other names than their fields in the API. */
const NAMES: Readonly<Record<string, readonly string[]>> = {
  event_types: ['--types', '--forward'],
  event_type: ['--type', '<type|subscription>'],
  data: ['<json>'],
  subscription_id: ['--subscription'],
  expires_at: ['--expires'],
  url: ['--to', '<url>'],
};

/** Returns the option or argument of a command that a field such as `body.event_types.0` comes from, else the field. */
function optionOf(field: string, command: Command | undefined): string {
  const [, name = '', ...within] = field.split('.');
  const given = new Set([
    ...(command?.options ?? []).map(({ long }) => long),
    ...(command?.registeredArguments ?? []).map((argument) => `<${argument.name()}>`),
  ]);
  const names = NAMES[name] ?? [`--${name.replaceAll('_', '-')}`, `<${name}>`];
  const found = names.find((option) => given.has(option));
  if (found !== undefined) return found;
  return given.has('--set') && name !== ''
    ? ['--set', [name, ...within].join('.')].join(' ')
    : field;
}

/**
 * Reads an argument that is the id of a subscription or a key.
 *
 * @throws OperatorError that names the argument.
 */
export function idArgument(name: string, found: string): (text: string) => number {
  return (text) => {
    const id = /^\d{1,10}$/.test(text) ? Number(text) : 0;
    if (id >= 1 && id <= MAX_ID) return id;
    throw new OperatorError(`The argument <${name}> is "${text}"; give a number, ${found}.`, {
      exitCode: EXIT.usage,
    });
  };
}

/**
 * Reads an argument that is the id of a webhook, or with `orDelivery` that of a delivery.
 *
 * @throws OperatorError that says how an id looks.
 */
export function webhookArgument({ orDelivery }: { readonly orDelivery: boolean }) {
  const pattern = orDelivery ? DELIVERY : WEBHOOK;
  return (text: string): string => {
    if (pattern.test(text)) return text;
    const of = orDelivery
      ? 'a webhook, or of a delivery (<webhook id>.<subscription>)'
      : 'a webhook';
    throw new OperatorError(
      `The argument <webhook id> is "${text}"; give the id of ${of}, such as ${EXAMPLE}.`,
      { exitCode: EXIT.usage },
    );
  };
}

const WEBHOOK = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const DELIVERY = new RegExp(`${WEBHOOK.source.slice(0, -1)}(\\.\\d{1,10})?$`, 'i');
const EXAMPLE = '0198f2c4-8a3b-7c11-9d2e-5f60718293a4';
/** The largest integer of Postgres. */
const MAX_ID = 2_147_483_647;
