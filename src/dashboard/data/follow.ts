import { createParser } from 'eventsource-parser';
import { refuse, sessionHeaders } from '../api/request.ts';
import { retryPause } from '../lib/retry-pause.ts';

interface Follower {
  /** Called with true when the stream is open, and with false when it is not any more. */
  readonly onOpen: (open: boolean) => void;
  /** Called with the name of each event. */
  readonly onEvent: (name: string) => void;
}

/** The service says something every 15 s. After this time the connection is lost, even if nobody said so. */
const SILENT_MS = 40_000;
/** A stream that ends sooner counts as a failure. */
const LASTING_MS = 10_000;

/**
 * Follows a stream of server-sent events until the function that it returns is called. If the stream ends, it is opened
 * again, with growing pauses.
 *
 * The browser's EventSource would not do: it sends no header, so in a portal it would not count as one; it gives up
 * when a proxy answers for a service that restarts; and it does not notice a connection that is silently lost.
 */
export function follow(url: string, { onOpen, onEvent }: Follower): () => void {
  let connection = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let failures = 0;
  let left = false;

  async function connect(): Promise<void> {
    connection = new AbortController();
    const startedAt = Date.now();
    await read(connection).catch(() => {
      // The stream is lost; the next lines handle that.
    });
    if (left) return;
    onOpen(false);
    const pause = retryPause(failures);
    failures = Date.now() - startedAt > LASTING_MS ? 0 : failures + 1;
    timer = setTimeout(connect, pause);
  }

  async function read(current: AbortController): Promise<void> {
    const lose = () => current.abort();
    let silence = setTimeout(lose, SILENT_MS);
    try {
      const response = await fetch(url, {
        headers: { ...sessionHeaders(), accept: 'text/event-stream' },
        credentials: 'same-origin',
        signal: current.signal,
      });
      if (!response.ok || response.body === null) {
        refuse(response.status, await response.json());
        return;
      }
      onOpen(true);
      const parser = createParser({ onEvent: ({ event = 'message' }) => onEvent(event) });
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) return;
        clearTimeout(silence);
        silence = setTimeout(lose, SILENT_MS);
        parser.feed(value);
      }
    } finally {
      clearTimeout(silence);
    }
  }

  void connect();
  return () => {
    left = true;
    clearTimeout(timer);
    connection.abort();
  };
}
