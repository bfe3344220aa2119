import { effect, signal } from '@preact/signals';
import { readSetting, writeSetting } from './lib/browser-settings.ts';
import { isPortal } from './lib/urls.ts';

const THEMES = ['system', 'light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];

/** The theme that the user chose; `system`: the one that the browser prefers. */
export const theme = signal<Theme>(
  THEMES.find((name) => name === readSetting('theme')) ?? 'system',
);

/** Shows the chosen theme, now and whenever it changes. The tokens are in styles/tokens.css. */
export function applyTheme(): void {
  effect(() => {
    document.documentElement.dataset.theme = theme.value;
    // In a portal, its tenant chooses.
    if (!isPortal()) writeSetting('theme', theme.value);
  });
}

/** The theme that comes after this one, for a button that goes through all. */
export function nextTheme(current: Theme): Theme {
  return THEMES[(THEMES.indexOf(current) + 1) % THEMES.length] ?? 'system';
}
