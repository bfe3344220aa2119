import { errorMessage, OperatorError } from '../lib/errors.ts';

/** The address of a running Posthorn, and the key for it. */
export interface Target {
  readonly url: string;
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
  { url, key }: Target,
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
