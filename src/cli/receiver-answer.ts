import { errorMessage } from '../lib/errors.ts';

/** The beginning of the answer of a receiver. */
export interface ReceiverAnswer {
  readonly status: number;
  readonly ok: boolean;
  readonly excerpt: string;
}

/** The bytes of an answer that are read. */
const EXCERPT_BYTES = 1_024;

/**
 * Posts a webhook to a URL, and reads the beginning of the answer, however long that is.
 *
 * @throws Error that says why there is no answer.
 */
export async function postToReceiver(
  url: string,
  { headers, body }: { readonly headers: Record<string, string>; readonly body: Buffer },
  timeoutMs: number,
): Promise<ReceiverAnswer> {
  try {
    const response = await fetch(url, {
      method: 'POST',
      headers,
      body: new Uint8Array(body),
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    const { status, ok } = response;
    return { status, ok, excerpt: await readExcerpt(response) };
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    throw new Error(errorMessage(cause ?? error), { cause: error });
  }
}

async function readExcerpt({ body }: Response): Promise<string> {
  if (body === null) return '';
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    chunks.push(chunk);
    bytes += chunk.length;
    if (bytes >= EXCERPT_BYTES) break;
  }
  return Buffer.concat(chunks).subarray(0, EXCERPT_BYTES).toString();
}
