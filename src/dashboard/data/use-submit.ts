import { useState } from 'preact/hooks';
import { ApiError } from '../api/request.ts';
import { isAboutSession } from '../session.ts';

/** A form that the API takes or refuses. */
export interface Submit {
  readonly onSubmit: (event: Event) => void;
  readonly busy: boolean;
  /** Why the API refused what was sent last; undefined: it did not. */
  readonly error: ApiError | undefined;
}

/**
 * Sends a form once at a time. Afterwards the first field with an error has the focus.
 *
 * @example
 * const { onSubmit, busy, error } = useSubmit(() => createTenant({ id }), ({ id }) => go(to(`tenants/${id}`)));
 */
export function useSubmit<T>(run: () => Promise<T>, after: (answer: T) => void): Submit {
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();

  async function submit(form: HTMLFormElement) {
    setBusy(true);
    setError(undefined);
    try {
      after(await run());
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
      if (isAboutSession(thrown)) return;
      setError(thrown);
      // After the errors are at their fields.
      setTimeout(() =>
        form.querySelector<HTMLElement>('[aria-invalid="true"], [role="alert"]')?.focus(),
      );
    } finally {
      setBusy(false);
    }
  }

  return {
    busy,
    error,
    onSubmit(event) {
      event.preventDefault();
      if (!busy) void submit(event.currentTarget as HTMLFormElement);
    },
  };
}
