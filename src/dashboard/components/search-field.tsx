import { useField } from '../data/use-field.ts';

interface SearchFieldProps {
  /** What is searched in, such as `Search in names and meanings`. */
  readonly label: string;
  /** The parameter of the URL that has the text. */
  readonly name: string;
  /** As wide as there is room. */
  readonly wide?: boolean;
}

/** A field over a list, whose text is in the URL. The key `/` leads to it. */
export function SearchField({ label, name, wide = false }: SearchFieldProps) {
  return (
    <div class={`field ${wide ? 'wide' : ''}`}>
      <input type="search" aria-label={label} placeholder={label} data-search {...useField(name)} />
    </div>
  );
}
