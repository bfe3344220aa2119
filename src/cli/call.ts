import { loadAdminKey, loadServiceUrl } from '../config/service-nearby.ts';
import { errorMessage, OperatorError } from '../lib/errors.ts';

/** A running Posthorn: its address, and the key for it. Both have defaults from the service's own settings. */
export interface Target {
  readonly url?: string | undefined;
  readonly key?: string | undefined;
}

export interface Call {
  readonly method: string;
  readonly path: string;
  /** JSON, as bytes. */
  readonly body?: Buffer | undefined;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Sends a request to a running Posthorn.
 *
 * @returns the text of its answer.
 * @throws OperatorError when no Posthorn answers there, or when the answer is an error.
 */
export async function call(
  { url = loadServiceUrl(), key = loadAdminKey() }: Target,
  { method, path, body, headers = {} }: Call,
): Promise<string> {
  let response: Response;
  try {
    response = await fetch(new URL(path, url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
        ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
      },
      ...(body === undefined ? {} : { body: new Uint8Array(body) }),
    });
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    throw new OperatorError(
      `No Posthorn answers at ${url} (${errorMessage(cause ?? error)}). Start it with posthorn start, or give another URL with --url.`,
    );
  }
  const text = await response.text();
  if (!response.ok)
    throw new OperatorError(`${url} answered ${response.status}: ${detailOf(text)}`);
  return text;
}

function detailOf(text: string): string {
  try {
    return (JSON.parse(text) as { detail?: string }).detail ?? text;
  } catch {
    return text.slice(0, 200);
  }
}

/** The option `--url` of commands that call a running Posthorn. */
export const URL_OPTION = [
  '--url <url>',
  'URL of Posthorn (default: that of HOST and PORT, of the environment or .env)',
] as const;

/**
 * Reads an argument that is the id of a subscription or a key.
 *
 * @throws OperatorError that names the argument.
 */
export function idArgument(name: string, found: string): (text: string) => number {
  return (text) => {
    const id = /^\d{1,10}$/.test(text) ? Number(text) : 0;
    if (id >= 1 && id <= MAX_ID) return id;
    throw new OperatorError(`The argument <${name}> is "${text}"; give a number, ${found}.`);
  };
}

/** The largest integer of Postgres. */
const MAX_ID = 2_147_483_647;
