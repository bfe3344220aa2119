import { useId } from 'preact/hooks';

/** A name and a value, as they are typed. */
export type Pair = readonly [name: string, value: string];

interface PairsProps {
  readonly label: string;
  readonly hint?: string;
  readonly pairs: readonly Pair[];
  readonly onChange: (pairs: readonly Pair[]) => void;
  /** What a name and a value are called, such as `Header`. */
  readonly nameLabel: string;
  readonly error?: string | undefined;
}

/** A list of names and values to which the user adds and from which they remove. */
export function Pairs({ label, hint, pairs, onChange, nameLabel, error }: PairsProps) {
  const id = useId();
  const change = (n: number, pair: Pair) => onChange(pairs.map((old, m) => (m === n ? pair : old)));
  return (
    <fieldset class="pairs" aria-describedby={hint === undefined ? undefined : `${id}-hint`}>
      <legend>{label}</legend>
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {pairs.map(([name, value], n) => (
        <div key={n} class="pair">
          <input
            aria-label={`${nameLabel} ${n + 1}`}
            placeholder={nameLabel}
            spellcheck={false}
            autocomplete="off"
            value={name}
            onInput={(event) => change(n, [event.currentTarget.value, value])}
          />
          <input
            aria-label={`Value ${n + 1}`}
            placeholder="Value"
            spellcheck={false}
            autocomplete="off"
            value={value}
            onInput={(event) => change(n, [name, event.currentTarget.value])}
          />
          <button
            type="button"
            class="icon-button"
            aria-label={`Remove ${nameLabel.toLowerCase()} ${n + 1}`}
            onClick={() => onChange(pairs.filter((_, m) => m !== n))}
          >
            ✕
          </button>
        </div>
      ))}
      <div>
        <button type="button" class="button small" onClick={() => onChange([...pairs, ['', '']])}>
          Add {nameLabel.toLowerCase()}
        </button>
      </div>
      {error !== undefined && <p class="field-error">{error}</p>}
    </fieldset>
  );
}

/** Returns the pairs as the API takes them; those without a name are left out. Null: there are none. */
export function recordOf(pairs: readonly Pair[]): Record<string, string> | null {
  const named = pairs.filter(([name]) => name.trim() !== '');
  return named.length === 0
    ? null
    : Object.fromEntries(named.map(([name, value]) => [name.trim(), value]));
}

export function pairsOf(record: Readonly<Record<string, string>> | null): readonly Pair[] {
  return Object.entries(record ?? {});
}
