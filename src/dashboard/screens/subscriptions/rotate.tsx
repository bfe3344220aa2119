import { useState } from 'preact/hooks';
import { type RotateSecretData, rotateSecret } from '../../api/client.ts';
import { Dialog } from '../../components/dialog.tsx';
import { Field, FormError } from '../../components/field.tsx';
import { SecretOnce } from '../../components/secret-once.tsx';
import { Time } from '../../components/time.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import type { WindowProps } from './dialogs.tsx';

const OVERLAPS = {
  '0s': 'at once',
  '1h': '1 hour',
  '24h': '24 hours',
  '7d': '7 days',
  '30d': '30 days',
};

/** Replaces the secret, and shows the new one once. During the overlap both sign. */
export function Rotate({ subscription, reload, onClose }: WindowProps) {
  const { id, has_secret, signature_scheme } = subscription;
  const [scheme, setScheme] = useState(signature_scheme);
  const [own, setOwn] = useState('');
  const [overlap, setOverlap] = useState('24h');
  const [rotated, setRotated] = useState<RotateSecretData>();
  const { onSubmit, busy, error } = useSubmit(
    () =>
      rotateSecret(
        id,
        {},
        {
          overlap,
          signature_scheme: scheme,
          ...(own.trim() === '' ? {} : { secret: own.trim() }),
        },
      ),
    (answer) => {
      setRotated(answer);
      setOwn('');
      reload();
    },
  );
  if (rotated !== undefined) return <Rotated rotated={rotated} onClose={onClose} />;
  return (
    <Dialog title={has_secret ? 'Rotate the secret' : 'Set a secret'} onClose={onClose}>
      <form onSubmit={onSubmit}>
        <div class="dialog-body">
          <Field
            label="The secret before goes on signing for"
            name="overlap"
            error={error}
            hint="Until then each delivery has both signatures, so that the receiver can change over in its own time."
          >
            {(input) => (
              <select
                {...input}
                value={overlap}
                disabled={!has_secret}
                onChange={(event) => setOverlap(event.currentTarget.value)}
              >
                {Object.entries(OVERLAPS).map(([value, words]) => (
                  <option key={value} value={value}>
                    {words}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <Field label="Scheme" name="signature_scheme" error={error}>
            {(input) => (
              <select
                {...input}
                value={scheme}
                onChange={(event) => setScheme(event.currentTarget.value as typeof scheme)}
              >
                <option value="hmac">hmac: a secret that both sides know</option>
                <option value="ed25519">
                  ed25519: a key pair; the receiver gets the public key
                </option>
              </select>
            )}
          </Field>
          <Field
            label="Secret"
            name="secret"
            error={error}
            hint="Leave it empty: Posthorn then generates one."
          >
            {(input) => (
              <input
                {...input}
                type="password"
                autocomplete="new-password"
                maxLength={256}
                value={own}
                onInput={(event) => setOwn(event.currentTarget.value)}
              />
            )}
          </Field>
          <FormError error={error} fields={['overlap', 'signature_scheme', 'secret']} />
        </div>
        <footer class="buttons">
          <button type="button" class="button plain" onClick={onClose}>
            Leave it as it is
          </button>
          <button type="submit" class="button primary" disabled={busy}>
            {has_secret ? 'Rotate' : 'Set it'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function Rotated({ rotated, onClose }: { rotated: RotateSecretData; onClose: () => void }) {
  const { secret, public_key, warning, previous_valid_until } = rotated;
  const more = (
    <>
      {previous_valid_until !== null && (
        <p>
          The secret before signs too until <Time at={previous_valid_until} />.
        </p>
      )}
      {warning !== undefined && <p class="notice">{warning}</p>}
    </>
  );
  if (secret !== undefined)
    return (
      <SecretOnce title="The new secret" secret={secret} what="the secret" onClose={onClose}>
        {more}
      </SecretOnce>
    );
  return (
    <Dialog title="The new secret is in use" onClose={onClose}>
      <div class="dialog-body">
        {public_key !== undefined && (
          <>
            <p>Receivers verify with this public key:</p>
            <p class="secret">
              <code>{public_key}</code>
            </p>
          </>
        )}
        {more}
      </div>
      <footer class="buttons">
        <button type="button" class="button primary" onClick={onClose}>
          Done
        </button>
      </footer>
    </Dialog>
  );
}
