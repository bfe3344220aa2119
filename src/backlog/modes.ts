/** The reasons why a backlog sends nothing until a time, or until something happens to it. */
export type WaitReason =
  /** No delivery is held. */
  | 'deliveries'
  /** All that are held are due later. */
  | 'due time'
  /** The circuit is open, and the next probe is not due. */
  | 'circuit'
  | 'rate limit'
  /** Its receiver has as many requests open as it may have. */
  | 'room'
  /** Requests are in flight that have to end first. */
  | 'attempts'
  /** A long page is being read. */
  | 'page'
  /** Results of its subscription wait to be written. */
  | 'recording';

export type PauseReason =
  /** An attempt found no place at its receiver, or was not allowed to begin. */
  | 'no place'
  /** It used all its room; a receiver that is back gets more step by step. */
  | 'refill'
  /** Its rounds or its attempts fail. */
  | 'failure';

/**
 * The mode of a backlog in the process that owns it. `createModes` holds the only function that
 * changes it.
 *
 * ```
 *   ┌─▶ ready ── a round ──▶ sending ──┬─▶ waiting ── time is up, or something happened ──┐
 *   │     ▲                     │      ├─▶ pausing ── time is up ─────────────────────────┤
 *   │     │                     │      ├─▶ probing ── the probe has ended ────────────────┤
 *   │     └─ something happened ┘      └─▶ leaving ── deliveries were held, or the ───────┤
 *   │                                                 subscription has changed            │
 *   └─────────────────────────────────────────────────────────────────────────────────────┘
 * ```
 *
 * "Something happened": deliveries were held, the subscription changed, an attempt ended, or a page was
 * read. A pause is for backlogs that would otherwise be visited all the time, so it outlasts these.
 */
export type Mode =
  /** The next round visits it. */
  | { readonly kind: 'ready' }
  /** The round under way reads, chooses and loads deliveries: at most so many. */
  | { readonly kind: 'sending'; readonly most: number }
  /** Its circuit is open, and a probe is chosen or in flight. Nothing else is sent. */
  | { readonly kind: 'probing' }
  | { readonly kind: 'waiting'; readonly reason: WaitReason; readonly forMs: number }
  | { readonly kind: 'pausing'; readonly reason: PauseReason; readonly forMs: number }
  /** Another process may have it. It is released when no attempt of it is in flight. */
  | { readonly kind: 'leaving' };

export const READY: Mode = { kind: 'ready' };
export const PROBING: Mode = { kind: 'probing' };
export const LEAVING: Mode = { kind: 'leaving' };
/** Waits until something happens. */
export const waitFor = (reason: WaitReason, forMs = Number.POSITIVE_INFINITY): Mode => ({
  kind: 'waiting',
  reason,
  forMs,
});
export const pauseFor = (reason: PauseReason, forMs: number): Mode => ({
  kind: 'pausing',
  reason,
  forMs,
});

/** A retry may be due in a year, and no timer goes that far. */
const MAX_TIMER_MS = 3_600_000;

/** Something that has a mode. */
export interface HasMode {
  mode: Mode;
  timer: NodeJS.Timeout | undefined;
}

/** Changes the modes of backlogs, and knows which of them a round has to visit. */
export interface Modes<B extends HasMode> {
  setMode(backlog: B, mode: Mode): void;
  /** Something happened that may let the backlog send. It is visited soon, unless its mode outlasts that. */
  stir(backlog: B): void;
  /** Forgets a backlog that this process no longer owns. */
  forget(backlog: B): void;
  /** Returns ready backlogs, those that became ready first, at most so many. */
  ready(most: number): B[];
  /** Returns backlogs to be given up. */
  leaving(): B[];
}

/** @param wake asks for a round now. */
export function createModes<B extends HasMode>(wake: () => void): Modes<B> {
  const ready = new Set<B>();
  const leaving = new Set<B>();

  function setMode(backlog: B, mode: Mode): void {
    clearTimeout(backlog.timer);
    backlog.timer = undefined;
    backlog.mode = mode;
    if (mode.kind === 'ready') ready.add(backlog);
    else ready.delete(backlog);
    if (mode.kind === 'leaving') leaving.add(backlog);
    else leaving.delete(backlog);
    if (!('forMs' in mode) || mode.forMs === Number.POSITIVE_INFINITY) return;
    const timeIsUp = () => {
      setMode(backlog, READY);
      wake();
    };
    backlog.timer = setTimeout(timeIsUp, Math.ceil(Math.min(mode.forMs, MAX_TIMER_MS)));
    backlog.timer.unref();
  }

  return {
    setMode,
    stir(backlog) {
      const { kind } = backlog.mode;
      if (kind === 'waiting' || kind === 'sending') setMode(backlog, READY);
      if (kind !== 'pausing' && kind !== 'probing') wake();
    },
    forget(backlog) {
      clearTimeout(backlog.timer);
      ready.delete(backlog);
      leaving.delete(backlog);
    },
    ready: (most) => [...ready].slice(0, most),
    leaving: () => [...leaving],
  };
}
