import { Field, type InputProps } from './field.tsx';

/** Its value is as #rrggbb; empty: none is chosen. */
interface ColourFieldProps extends InputProps {
  /** The colour where none is chosen. */
  readonly standard: string;
}

/** A colour, which can be typed or chosen, or left out. */
export function ColourField(props: ColourFieldProps) {
  const { label, name, error, value, onChange, hint, standard } = props;
  return (
    <Field label={label} name={name} error={error} hint={hint}>
      {(input) => (
        <div class="colour">
          <input
            {...input}
            class="code"
            value={value}
            placeholder={standard}
            spellcheck={false}
            autocomplete="off"
            onInput={(event) => onChange(event.currentTarget.value)}
          />
          <input
            type="color"
            aria-label={`Choose: ${label}`}
            value={/^#[\da-f]{6}$/i.test(value) ? value : standard}
            onInput={(event) => onChange(event.currentTarget.value)}
          />
        </div>
      )}
    </Field>
  );
}
