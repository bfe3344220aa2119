import type { Test } from 'tap';
import type { TestService } from './service.ts';
import { until } from './until.ts';

/** An event of a stream, as a browser's EventSource gives it. */
export interface ReceivedEvent {
  readonly event: string;
  readonly id: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into events whose shape is what they test
  readonly data: any;
}

export interface FollowedStream {
  readonly events: readonly ReceivedEvent[];
  /** The last id, which may have come without an event. */
  readonly lastId: string;
  readonly retryMs: number | undefined;
  /** True: the server has ended it. */
  readonly ended: boolean;
  /** Waits for an event. */
  until(what: string, isIt: (event: ReceivedEvent) => boolean): Promise<ReceivedEvent>;
  close(): void;
}

/** Follows an event stream, in the steps of WHATWG HTML 9.2.6, until the test ends. */
export async function follow(
  t: Test,
  { url }: Pick<TestService, 'url'>,
  path: string,
  headers: Record<string, string> = {},
): Promise<FollowedStream> {
  const abort = new AbortController();
  t.teardown(() => abort.abort());
  const response = await fetch(new URL(path, url), { headers, signal: abort.signal });
  if (response.status !== 200 || response.body === null)
    throw new Error(`${path}: ${response.status} ${await response.text()}`);
  const events: ReceivedEvent[] = [];
  let lastId = '';
  let retryMs: number | undefined;
  let ended = false;

  function take(block: string): void {
    const fields = new Map<string, string>();
    for (const line of block.split('\n')) {
      const [, name, value = ''] = /^([^:]+):? ?(.*)$/.exec(line) ?? [];
      if (name !== undefined) fields.set(name, value);
    }
    lastId = fields.get('id') ?? lastId;
    if (fields.has('retry')) retryMs = Number(fields.get('retry'));
    const data = fields.get('data');
    if (data !== undefined)
      events.push({
        event: fields.get('event') ?? 'message',
        id: lastId,
        data: JSON.parse(data),
      });
  }

  async function read(stream: ReadableStream<Uint8Array>): Promise<void> {
    let rest = '';
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      const blocks = (rest + text).split('\n\n');
      rest = blocks.pop() as string;
      for (const block of blocks) take(block);
    }
  }
  read(response.body)
    .catch(() => {})
    .finally(() => {
      ended = true;
    });

  return {
    events,
    get lastId() {
      return lastId;
    },
    get retryMs() {
      return retryMs;
    },
    get ended() {
      return ended;
    },
    until: (what, isIt) => until(what, () => events.find(isIt)),
    close: () => abort.abort(),
  };
}
