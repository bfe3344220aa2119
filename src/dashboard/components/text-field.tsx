import { useId } from 'preact/hooks';
import { Field, type InputProps } from './field.tsx';

interface TextFieldProps extends InputProps {
  readonly placeholder?: string;
  /** More than one line: so many are shown. */
  readonly rows?: number;
  /** Code, such as a JSON path, stands in letters of one width. */
  readonly code?: boolean;
  readonly type?: 'text' | 'url' | 'number' | 'password' | 'datetime-local';
  readonly required?: boolean;
  /** Values that are offered, with what they mean. Others can be typed too. */
  readonly options?: Readonly<Record<string, string>>;
}

/** A labelled field for text, with the API's error about it. */
export function TextField({
  label,
  name,
  error,
  value,
  onChange,
  hint,
  placeholder,
  rows,
  code = false,
  type = 'text',
  required,
  options,
}: TextFieldProps) {
  const list = useId();
  const given = {
    value,
    placeholder,
    required,
    spellcheck: false,
    class: code ? 'code' : undefined,
    autocomplete: type === 'password' ? 'new-password' : 'off',
    onInput: (event: { currentTarget: HTMLInputElement | HTMLTextAreaElement }) =>
      onChange(event.currentTarget.value),
  } as const;
  return (
    <Field label={label} name={name} error={error} hint={hint}>
      {(input) =>
        rows === undefined ? (
          <>
            <input
              {...input}
              {...given}
              type={type as 'text'}
              list={options === undefined ? undefined : list}
            />
            {options !== undefined && (
              <datalist id={list}>
                {Object.entries(options).map(([value, words]) => (
                  <option key={value} value={value}>
                    {words}
                  </option>
                ))}
              </datalist>
            )}
          </>
        ) : (
          <textarea {...input} {...given} rows={rows} />
        )
      }
    </Field>
  );
}

interface SelectFieldProps extends InputProps {
  /** The values with their words. */
  readonly choices: Readonly<Record<string, string>>;
}

/** A labelled choice of one of a few values. */
export function SelectField({
  label,
  name,
  error,
  value,
  onChange,
  choices,
  hint,
}: SelectFieldProps) {
  return (
    <Field label={label} name={name} error={error} hint={hint}>
      {(input) => (
        <select {...input} value={value} onChange={(event) => onChange(event.currentTarget.value)}>
          {Object.entries(choices).map(([one, words]) => (
            <option key={one} value={one}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}
