import { useState } from 'preact/hooks';
import type { ApiError } from '../../api/request.ts';
import { Field } from '../../components/field.tsx';
import { formatBytes } from '../../lib/format.ts';

/** The largest file that fits into the 16,384 characters of a `data:` URL. */
const MAX_BYTES = 12 * 1024 - 32;
const FORMATS = 'image/png,image/jpeg,image/webp,image/svg+xml';

interface LogoFieldProps {
  readonly error: ApiError | undefined;
  /** An image as a `data:` URL; null: none. */
  readonly value: string | null;
  readonly onChange: (value: string | null) => void;
}

/** The logo of a tenant: a file of the user becomes a `data:` URL, in this browser. */
export function LogoField({ error, value, onChange }: LogoFieldProps) {
  const [refused, setRefused] = useState<string>();
  async function take(file: File) {
    const fits = file.size <= MAX_BYTES;
    setRefused(
      fits
        ? undefined
        : `The file has ${formatBytes(file.size)}; at most ${formatBytes(MAX_BYTES)} are possible. An SVG, or a PNG of at most 320 × 56 pixels, is small enough.`,
    );
    if (fits) onChange(await dataUrlOf(file));
  }
  return (
    <Field
      label="Logo"
      name="portal.logo"
      error={error}
      hint="PNG, JPEG, WebP or SVG, at most 12 kB. It is shown 28 pixels high."
    >
      {(input) => (
        <>
          <div class="logo-field">
            {value !== null && <img class="logo" src={value} alt="The logo" />}
            <input
              {...input}
              type="file"
              accept={FORMATS}
              onChange={({ currentTarget }) => {
                const [file] = currentTarget.files ?? [];
                if (file !== undefined) void take(file);
                // The same file can be chosen again after it was changed.
                currentTarget.value = '';
              }}
            />
            {value !== null && (
              <button type="button" class="button plain" onClick={() => onChange(null)}>
                Remove
              </button>
            )}
          </div>
          {refused !== undefined && (
            <p class="field-error" role="alert">
              {refused}
            </p>
          )}
        </>
      )}
    </Field>
  );
}

function dataUrlOf(file: File): Promise<string> {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(String(reader.result));
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}
