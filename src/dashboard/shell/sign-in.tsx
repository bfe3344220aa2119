import { useState } from 'preact/hooks';
import { ApiError, refusal } from '../api/request.ts';
import { Field, FormError } from '../components/field.tsx';
import { signIn } from '../session.ts';
import { Horn } from './horn.tsx';

/** Asks for a key. It stands at the URL that was asked for, which is shown when the key is good. */
export function SignIn() {
  const [key, setKey] = useState('');
  const [busy, setBusy] = useState(false);
  const [error, setError] = useState<ApiError>();

  async function submit(event: SubmitEvent) {
    event.preventDefault();
    setBusy(true);
    setError(undefined);
    try {
      await signIn(key.trim());
    } catch (thrown) {
      if (!(thrown instanceof ApiError)) throw thrown;
      setError(thrown);
    } finally {
      setBusy(false);
    }
  }

  return (
    <main class="sign-in">
      <form onSubmit={submit}>
        <h1>
          <Horn /> Posthorn
        </h1>
        {refusal.value !== null && (
          <p class="notice warn" role="status">
            The session has ended. {refusal.value}
          </p>
        )}
        <Field
          label="Key"
          name="key"
          error={error}
          hint="An API key, or the admin key. Its scopes and tenant decide what you see and can do."
        >
          {(input) => (
            <input
              {...input}
              type="password"
              autocomplete="current-password"
              required
              // biome-ignore lint/a11y/noAutofocus: it is the only field of the page
              autoFocus
              value={key}
              onInput={(event) => setKey(event.currentTarget.value)}
            />
          )}
        </Field>
        <FormError error={error} fields={['key']} />
        <button type="submit" class="button primary" disabled={busy || key.trim() === ''}>
          Sign in
        </button>
        <p class="hint">
          No key yet? <code>posthorn keys create</code> makes one. The API is described at{' '}
          <a href="/api/docs/">/api/docs/</a>.
        </p>
      </form>
    </main>
  );
}
