import { useEffect, useRef, useState } from 'preact/hooks';
import { shownTenant } from '../lib/tenant.ts';
import { follow } from './follow.ts';

/** The events that change what a list shows. */
const EVENTS = ['accepted', 'attempt', 'pending', 'held', 'delivered', 'failed', 'cancelled'];
/** Events that come closer together are told once. */
const TOLD_EVERY_MS = 1_000;

interface StreamQuery {
  readonly event_type?: string | undefined;
  readonly subscription_id?: string | undefined;
}

/**
 * Follows `GET /v1/stream` while the page is visible, and tells that something happened. What happened is then read from
 * the list itself, so that nothing on the screen depends on an event that was missed.
 *
 * @param enabled false: it does not follow.
 * @returns true while it follows. Otherwise the list must be read from time to time.
 */
export function useStream(query: StreamQuery, enabled: boolean, onEvent: () => void): boolean {
  const [open, setOpen] = useState(false);
  const tell = useRef(onEvent);
  tell.current = onEvent;
  const parameters = new URLSearchParams();
  for (const [name, value] of Object.entries({ ...query, tenant: shownTenant.value }))
    if (value) parameters.set(name, value);
  const url = `/v1/stream?${parameters}`;

  useEffect(() => {
    if (!enabled) return;
    let stop = () => {};
    let timer: ReturnType<typeof setTimeout> | undefined;
    const onEvent = (name: string) => {
      if (!EVENTS.includes(name)) return;
      timer ??= setTimeout(() => {
        timer = undefined;
        tell.current();
      }, TOLD_EVERY_MS);
    };
    const leave = () => {
      stop();
      setOpen(false);
    };
    // A hidden page would keep one of the few connections that a browser has for a service.
    const onVisible = () => {
      leave();
      if (!document.hidden) stop = follow(url, { onOpen: setOpen, onEvent });
    };
    onVisible();
    document.addEventListener('visibilitychange', onVisible);
    return () => {
      leave();
      clearTimeout(timer);
      document.removeEventListener('visibilitychange', onVisible);
    };
  }, [url, enabled]);
  return open;
}
