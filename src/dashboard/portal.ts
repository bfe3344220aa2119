import { effect } from '@preact/signals';
import { createPortalSession } from './api/client.ts';
import { ApiError, refusal } from './api/request.ts';
import { onColour, readableOn } from './lib/colours.ts';
import { session } from './session.ts';
import { theme } from './theme.ts';

const ENTRY = /^\/portal\/enter\/([\da-f-]{36})\/?$/;

/**
 * Opens the portal if the page is that of a link: exchanges the token after the # for a cookie, and goes on to the
 * portal's first screen, whose URL has neither. A link that opens nothing says why.
 */
export async function enterPortal(): Promise<void> {
  const [, link] = ENTRY.exec(location.pathname) ?? [];
  if (link === undefined) return;
  const token = location.hash.slice(1);
  // Before anything else: no copy of the address, and no entry of the history, has the token.
  history.replaceState(null, '', '/portal');
  try {
    await createPortalSession({ link, token });
    // A new document, in which nothing knows how it was entered.
    location.replace('/portal');
    await new Promise(() => {});
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    // Reloading a page whose link was used shows the session that the link opened, if that goes on.
    if (error.status !== 401) refusal.value = error.message;
  }
}

/** Shows a portal in the colours of its tenant, made lighter or darker where text could not be read. */
export function applyPortalTheme(): void {
  effect(() => {
    const look = session.value?.portal?.theme;
    if (look === undefined) return;
    theme.value = look.mode === 'auto' ? 'system' : look.mode;
  });
  const dark = matchMedia('(prefers-color-scheme: dark)');
  const show = () => {
    const look = session.value?.portal?.theme;
    const isDark = theme.value === 'dark' || (theme.value === 'system' && dark.matches);
    const [ground, text] = isDark ? ['#15171c', '#ffffff'] : ['#f1f3f9', '#000000'];
    const accent = look?.accent ? readableOn(look.accent, ground, text) : null;
    setToken('--accent', accent);
    setToken('--on-accent', accent && onColour(accent));
    setToken('--header-ground', look?.header ?? null);
    setToken('--on-header', look?.header ? onColour(look.header) : null);
  };
  effect(show);
  dark.addEventListener('change', show);
}

function setToken(name: string, value: string | null): void {
  const { style } = document.documentElement;
  if (value === null) style.removeProperty(name);
  else style.setProperty(name, value);
}
