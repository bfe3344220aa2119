import { useEffect, useState } from 'preact/hooks';
import { useUrl } from './use-url.ts';

const PAUSE_MS = 300;

/**
 * A text field whose value is a parameter of the URL. The URL follows when the user pauses, so that not every letter
 * is a request, and the list begins again with its first page.
 *
 * @returns what to spread over an `<input>`.
 */
export function useField(name: string) {
  const { query, set } = useUrl();
  const inUrl = query[name] ?? '';
  const [typed, setTyped] = useState(inUrl);
  // The URL changes without the field too: by the browser's back button, and by links.
  useEffect(() => setTyped(inUrl), [inUrl]);
  useEffect(() => {
    if (typed.trim() === inUrl) return;
    const timer = setTimeout(
      () => set({ [name]: typed.trim(), cursor: undefined }, true),
      PAUSE_MS,
    );
    return () => clearTimeout(timer);
  }, [typed]);
  return {
    value: typed,
    onInput: (event: { currentTarget: HTMLInputElement }) => setTyped(event.currentTarget.value),
  };
}
