import { signal } from '@preact/signals';
import { readSetting, writeSetting } from './lib/browser-settings.ts';

/** Whether single keys do something. WCAG 2.1.4 asks for a way to turn that off: it is in the help. */
export const shortcutsOn = signal(readSetting('shortcuts') !== 'off');
/** Whether the help is open. */
export const helpOpen = signal(false);

export const SHORTCUTS = [
  ['/', 'Go to the search field'],
  ['j', 'Go to the next row'],
  ['k', 'Go to the row before'],
  ['Enter', 'Open the row'],
  ['?', 'Show or hide this help'],
  ['Esc', 'Close a window, or leave a field'],
] as const;

export function turnShortcuts(on: boolean): void {
  shortcutsOn.value = on;
  writeSetting('shortcuts', on ? 'on' : 'off');
}

/** Listens for the keys of `SHORTCUTS`. Rows are the links with `data-row`, the search field has `data-search`. */
export function listenForKeys(): () => void {
  document.addEventListener('keydown', onKey);
  return () => document.removeEventListener('keydown', onKey);
}

function onKey(event: KeyboardEvent): void {
  const { key, ctrlKey, metaKey, altKey, target } = event;
  if (ctrlKey || metaKey || altKey) return;
  const field = target instanceof HTMLElement && target.matches('input, textarea, select');
  if (field) {
    if (key === 'Escape') target.blur();
    return;
  }
  if (!shortcutsOn.value && key !== '?') return;
  if (key === '?') helpOpen.value = !helpOpen.value;
  // The page behind a window is not to be moved in.
  else if (document.querySelector('dialog[open]') !== null) return;
  else if (key === '/') document.querySelector<HTMLElement>('[data-search]')?.focus();
  else if (key === 'j') moveBy(1);
  else if (key === 'k') moveBy(-1);
  else return;
  event.preventDefault();
}

function moveBy(step: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>('[data-row]')];
  const current = rows.findIndex((row) => row.matches(':focus'));
  const next = current === -1 ? (step > 0 ? 0 : rows.length - 1) : current + step;
  rows[Math.max(0, Math.min(rows.length - 1, next))]?.focus();
}
