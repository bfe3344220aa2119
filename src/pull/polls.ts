import type { Session } from '../db/session.ts';
import { BACKLOG_CHANNEL } from '../deliveries/backlogs.sql.ts';

/** While notifications do not arrive, one request for each subscription looks this often. */
const WITHOUT_NOTIFICATIONS_MS = 1_000;
/** Timers take no longer time. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** A request that pulls from a subscription, and perhaps waits for something to pull. */
export interface Poll {
  /**
   * Says that there was nothing to get.
   *
   * @param againMs the time after which there may be something; null: something has to happen first.
   */
  foundNothing(againMs: number | null): void;
  /** Waits until there may be something to get, but at most for that time. Returns false when the time is over. */
  wait(ms: number, signal: AbortSignal): Promise<boolean>;
  /** Must be called at its end. If it got something, the next request looks for more. */
  end(): void;
}

export interface Polls {
  begin(subscriptionId: number): Poll;
}

/** The requests that pull from one subscription. */
interface Waiting {
  polls: number;
  /** Something happened while no request waited, so the next one looks again at once. */
  news: boolean;
  /** In the order in which they came. */
  readonly queue: Set<() => void>;
  timer: NodeJS.Timeout | undefined;
  timerAt: number;
}

/**
 * Lets requests wait for deliveries without a connection or a statement of their own: the session of the process is
 * notified of a subscription that has something to get, and wakes the request that has waited longest. When that got
 * something, it wakes the next one. So a thousand requests that wait cost nothing, and one webhook wakes one of them.
 *
 * @param session not started yet.
 */
export function createPolls(session: Session): Polls {
  const subscriptions = new Map<number, Waiting>();

  session.listen(BACKLOG_CHANNEL, (payload) => {
    if (subscriptions.size === 0) return;
    for (const id of payload.replace('free:', '').split(',')) wakeOne(Number(id));
  });
  // The subscription was resumed, or its limits have changed.
  session.listen('posthorn_subscriptions', (payload) => wakeOne(Number(payload)));
  const wakeEach = () => {
    for (const id of subscriptions.keys()) wakeOne(id);
  };
  session.onLost(wakeEach);
  session.onConnect(async () => wakeEach());

  function wakeOne(id: number): void {
    const waiting = subscriptions.get(id);
    if (waiting === undefined) return;
    const [first] = waiting.queue;
    if (first === undefined) waiting.news = true;
    else first();
  }

  function wakeIn(id: number, waiting: Waiting, ms: number): void {
    const at = performance.now() + ms;
    if (at >= waiting.timerAt) return;
    clearTimeout(waiting.timer);
    waiting.timerAt = at;
    waiting.timer = setTimeout(
      () => {
        waiting.timerAt = Number.POSITIVE_INFINITY;
        wakeOne(id);
      },
      Math.min(ms, MAX_TIMER_MS),
    ).unref();
  }

  return {
    begin(id) {
      let waiting = subscriptions.get(id);
      if (waiting === undefined) {
        waiting = {
          polls: 0,
          news: false,
          queue: new Set(),
          timer: undefined,
          timerAt: Number.POSITIVE_INFINITY,
        };
        subscriptions.set(id, waiting);
      }
      const own = waiting;
      own.polls += 1;
      // The next request looks for more if this one was woken, or left something.
      let mayBeMore = true;

      return {
        foundNothing(againMs) {
          mayBeMore = false;
          if (againMs !== null) wakeIn(id, own, againMs);
          if (!session.connected) wakeIn(id, own, WITHOUT_NOTIFICATIONS_MS);
        },
        async wait(ms, signal) {
          if (signal.aborted) return false;
          if (own.news) {
            own.news = false;
            mayBeMore = true;
            return true;
          }
          return await new Promise<boolean>((resolve) => {
            const settle = (woken: boolean) => {
              clearTimeout(timer);
              signal.removeEventListener('abort', stop);
              own.queue.delete(wake);
              if (woken) mayBeMore = true;
              resolve(woken);
            };
            const wake = () => settle(true);
            const stop = () => settle(false);
            const timer = setTimeout(stop, Math.max(0, ms));
            signal.addEventListener('abort', stop);
            own.queue.add(wake);
          });
        },
        end() {
          own.polls -= 1;
          if (own.polls === 0) {
            clearTimeout(own.timer);
            subscriptions.delete(id);
          } else if (mayBeMore) wakeOne(id);
        },
      };
    },
  };
}
