import { useState } from 'preact/hooks';

interface SearchTextProps {
  readonly value: string;
  readonly onDone: (text: string) => void;
  readonly placeholder?: string;
  readonly inputMode?: 'numeric';
  readonly 'data-search'?: boolean;
}

/** A text field that says what was typed when it is left, or with Enter. Escape takes it back. */
export function SearchText({ value, onDone, ...rest }: SearchTextProps) {
  const [typed, setTyped] = useState<string>();
  function finish(text: string) {
    setTyped(undefined);
    if (text !== value) onDone(text);
  }
  return (
    <input
      {...rest}
      type="search"
      spellcheck={false}
      autocomplete="off"
      value={typed ?? value}
      onInput={(event) => setTyped(event.currentTarget.value)}
      onBlur={(event) => finish(event.currentTarget.value)}
      onKeyDown={(event) => {
        if (event.key === 'Enter') finish(event.currentTarget.value);
        if (event.key !== 'Escape') return;
        // The browser would empty the field.
        event.preventDefault();
        event.currentTarget.value = value;
        setTyped(undefined);
      }}
    />
  );
}
