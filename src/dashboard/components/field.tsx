import type { ComponentChildren } from 'preact';
import { useId } from 'preact/hooks';
import type { ApiError } from '../api/request.ts';

/** What every input with a label gets. */
export interface InputProps {
  readonly label: string;
  /** The name of the field in the API. */
  readonly name: string;
  readonly error: ApiError | undefined;
  readonly value: string;
  readonly onChange: (value: string) => void;
  readonly hint?: string;
}

interface FieldProps {
  readonly label: string;
  /** The name of the field in the API, such as `url`: the API's error about it is shown here. */
  readonly name: string;
  readonly error?: ApiError | undefined;
  readonly hint?: string;
  /** Among filters: as wide as there is room. */
  readonly wide?: boolean;
  /** Makes the input; spread what it gets over it. */
  readonly children: (input: {
    id: string;
    name: string;
    'aria-invalid': boolean;
    'aria-describedby': string | undefined;
  }) => ComponentChildren;
}

/**
 * A labelled field of a form, with the API's error about it.
 *
 * @example
 * <Field label="URL" name="url" error={error}>
 *   {(input) => <input {...input} type="url" value={url} onInput={…} />}
 * </Field>
 */
export function Field({ label, name, error, hint, wide, children }: FieldProps) {
  const id = useId();
  const message = messageOf(error, name);
  const about = [hint && `${id}-hint`, message && `${id}-error`].filter(Boolean).join(' ');
  return (
    <div class={`field ${wide ? 'wide' : ''}`}>
      <label for={id}>{label}</label>
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
      {children({
        id,
        name,
        'aria-invalid': message !== undefined,
        'aria-describedby': about === '' ? undefined : about,
      })}
      {message !== undefined && (
        <p class="field-error" id={`${id}-error`}>
          {message}
        </p>
      )}
    </div>
  );
}

/** The API's error about a field, or about something in it (`rate_limit.per`, `headers/x`). */
function messageOf(error: ApiError | undefined, name: string): string | undefined {
  const found = Object.entries(error?.fields ?? {}).find(
    ([field]) =>
      field === name || (field.startsWith(name) && /^[./[]/.test(field.slice(name.length))),
  );
  return found === undefined ? undefined : `${found[0]} ${found[1]}`;
}

/** What the API said about a whole form: everything that is not about one of these fields. */
export function FormError({
  error,
  fields,
}: {
  error: ApiError | undefined;
  fields: readonly string[];
}) {
  if (error === undefined || fields.some((name) => messageOf(error, name) !== undefined))
    return null;
  return (
    <p class="form-error" role="alert">
      {error.message}
    </p>
  );
}
