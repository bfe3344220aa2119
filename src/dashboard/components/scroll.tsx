import type { ComponentChildren } from 'preact';

/** Preformatted text that scrolls by itself when it is too wide or too long. */
export function Scroll({ label, children }: { label: string; children: ComponentChildren }) {
  return (
    // biome-ignore lint/a11y/useSemanticElements: a section would be a landmark, and a page has many of these
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by keyboard
    <div role="group" class="scroll" aria-label={label} tabIndex={0}>
      <pre>{children}</pre>
    </div>
  );
}
