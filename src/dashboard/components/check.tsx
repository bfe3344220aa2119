interface CheckProps {
  readonly label: string;
  readonly checked: boolean;
  readonly onChange: (checked: boolean) => void;
  readonly hint?: string;
}

/** A box to tick, with what it means. */
export function Check({ label, checked, onChange, hint }: CheckProps) {
  return (
    <label class="check">
      <input
        type="checkbox"
        checked={checked}
        onChange={(event) => onChange(event.currentTarget.checked)}
      />
      <span>
        {label}
        {hint !== undefined && <span class="second">{hint}</span>}
      </span>
    </label>
  );
}

interface ChecksProps<T extends string> {
  readonly label: string;
  /** The values with their words. */
  readonly choices: Readonly<Record<T, string>>;
  readonly chosen: readonly T[];
  readonly onChange: (chosen: readonly T[]) => void;
  readonly error?: string | undefined;
}

/** Some of a few values. */
export function Checks<T extends string>({
  label,
  choices,
  chosen,
  onChange,
  error,
}: ChecksProps<T>) {
  return (
    <fieldset class="choices">
      <legend>{label}</legend>
      {(Object.entries(choices) as [T, string][]).map(([value, words]) => (
        <Check
          key={value}
          label={words}
          checked={chosen.includes(value)}
          onChange={(checked) =>
            onChange(checked ? [...chosen, value] : chosen.filter((one) => one !== value))
          }
        />
      ))}
      {error !== undefined && <p class="field-error">{error}</p>}
    </fieldset>
  );
}
