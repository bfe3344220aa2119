import type { ComponentChildren } from 'preact';
import { toast } from './toast.tsx';

interface CopyProps {
  /** The text, or what makes it when the button is pressed. */
  readonly text: string | (() => string);
  readonly children?: ComponentChildren;
  /** What is copied, for screen readers and the message, such as `the id`. */
  readonly what: string;
}

/** A button that copies a text. */
export function CopyButton({ text, children, what }: CopyProps) {
  return (
    <button
      type="button"
      class={children === undefined ? 'icon-button' : 'button plain'}
      aria-label={children === undefined ? `Copy ${what}` : undefined}
      title={`Copy ${what}`}
      onClick={async () => {
        const copied = await copy(typeof text === 'function' ? text() : text);
        if (copied) toast(`Copied ${what}.`);
        else toast(`The browser does not let this page copy ${what}. Select it instead.`, 'bad');
      }}
    >
      {children ?? (
        <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true">
          <path
            d="M5.5 5.5v-3h8v8h-3M2.5 5.5h8v8h-8z"
            fill="none"
            stroke="currentColor"
            stroke-width="1.3"
          />
        </svg>
      )}
    </button>
  );
}

async function copy(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Over plain http, browsers offer only the old way.
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement('textarea');
  area.value = text;
  area.className = 'visually-hidden';
  const place = document.querySelector('dialog[open]') ?? document.body;
  place.append(area);
  area.select();
  const copied = document.execCommand('copy');
  area.remove();
  return copied;
}
