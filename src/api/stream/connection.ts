import type { ServerResponse } from 'node:http';

/** A client has this long to take 64 KiB; then it counts as gone. */
export const SLOW_AFTER_MS = 15_000;
/** The time for a client to take what was written before its connection ended. */
const CLOSE_AFTER_MS = 10_000;
/** Browsers wait this long before they connect again. */
const RETRY_MS = 2_000;

/** Why a stream ends. A client may connect again at once, except if its key ended. */
export type EndReason = 'slow_reader' | 'access_ended' | 'shutdown';

/** The connection of a client that gets server-sent events. */
export interface Connection {
  /** True: nothing can be written any more. */
  readonly ended: boolean;
  /** True: the client has not taken yet what was written last. */
  readonly waits: boolean;
  /** Waits until the client has taken it, so that a slow client is not buffered. Ends the stream if that takes too long. */
  write(text: string): Promise<boolean>;
  /** Tells the client why the stream ends, and closes the connection. */
  end(reason: EndReason, detail: string): void;
}

/**
 * Begins a stream on a response that fastify has handed over.
 *
 * @param headers set by plugins for this response.
 * @param onEnd called once when nothing can be written any more.
 */
export function createConnection(
  response: ServerResponse,
  headers: Readonly<Record<string, number | string | string[] | undefined>>,
  onEnd: () => void,
): Connection {
  let ended = false;
  let waits = false;

  function finish(): void {
    if (ended) return;
    ended = true;
    onEnd();
  }

  function end(reason: EndReason, detail: string): void {
    if (ended) return;
    finish();
    const timer = setTimeout(() => response.destroy(), CLOSE_AFTER_MS).unref();
    response.once('close', () => clearTimeout(timer));
    response.end(`event: end\ndata: ${JSON.stringify({ reason, detail })}\n\n`);
  }

  response.once('close', finish);
  response.writeHead(200, {
    ...headers,
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-store',
    // nginx would keep events back.
    'x-accel-buffering': 'no',
    // A stream that ended leaves no idle connection, which would delay the stop of the service.
    connection: 'close',
  });
  response.write(`retry: ${RETRY_MS}\n\n`);

  return {
    get ended() {
      return ended;
    },
    get waits() {
      return waits;
    },
    end,
    async write(text) {
      if (ended) return false;
      if (response.write(text)) return true;
      waits = true;
      const drained = await new Promise<boolean>((resolve) => {
        const timer = setTimeout(resolve, SLOW_AFTER_MS, false).unref();
        const settle = () => {
          clearTimeout(timer);
          response.off('drain', settle);
          response.off('close', settle);
          resolve(true);
        };
        response.on('drain', settle);
        response.on('close', settle);
      });
      waits = false;
      if (!drained)
        end(
          'slow_reader',
          `The client has taken nothing for ${SLOW_AFTER_MS / 1000} s. Connect again with the last id (Last-Event-ID) and read faster, or filter the events.`,
        );
      return !ended;
    },
  };
}
