import { useState } from 'preact/hooks';
import { type RotateSecretData, rotateSecret } from '../../api/client.ts';
import { Dialog } from '../../components/dialog.tsx';
import { FormDialog } from '../../components/form-dialog.tsx';
import { SecretOnce } from '../../components/secret-once.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
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

const SCHEMES = {
  hmac: 'hmac: a secret that both sides know',
  ed25519: 'ed25519: a key pair; the receiver gets the public key',
};

/** Replaces the secret, and shows the new one once. During the overlap both sign. */
export function Rotate({ subscription, reload, onClose }: WindowProps) {
  const { id, has_secret, signature_scheme } = subscription;
  const [scheme, setScheme] = useState(signature_scheme);
  const [own, setOwn] = useState('');
  const [overlap, setOverlap] = useState('24h');
  const [rotated, setRotated] = useState<RotateSecretData>();
  const submit = useSubmit(
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
  const { error } = submit;
  if (rotated !== undefined) return <Rotated rotated={rotated} onClose={onClose} />;
  return (
    <FormDialog
      title={has_secret ? 'Rotate the secret' : 'Set a secret'}
      submit={submit}
      action={has_secret ? 'Rotate' : 'Set it'}
      fields={['overlap', 'signature_scheme', 'secret']}
      onClose={onClose}
    >
      {has_secret && (
        <SelectField
          label="The secret before goes on signing for"
          name="overlap"
          hint="Until then each delivery has both signatures, so that the receiver can change over in its own time."
          error={error}
          value={overlap}
          onChange={setOverlap}
          choices={OVERLAPS}
        />
      )}
      <SelectField
        label="Scheme"
        name="signature_scheme"
        error={error}
        value={scheme}
        onChange={(value) => setScheme(value === 'ed25519' ? 'ed25519' : 'hmac')}
        choices={SCHEMES}
      />
      <TextField
        label="Secret"
        name="secret"
        type="password"
        hint="Leave it empty: Posthorn then generates one."
        error={error}
        value={own}
        onChange={setOwn}
      />
    </FormDialog>
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
