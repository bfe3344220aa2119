import { useState } from 'preact/hooks';
import { type CreateKeyData, createKey, type Key } from '../../api/client.ts';
import { Checks } from '../../components/check.tsx';
import { FormDialog } from '../../components/form-dialog.tsx';
import { SecretOnce } from '../../components/secret-once.tsx';
import { SelectField, TextField } from '../../components/text-field.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';

type Scope = Key['scopes'][number];

const SCOPES: Readonly<Record<Scope, string>> = {
  read: 'read: list and get everything of the tenant',
  send: 'send: send webhooks',
  pull: 'pull: pull and acknowledge webhooks, for receivers behind a firewall',
  manage: 'manage: change subscriptions, event types and deliveries, read and pull',
  admin: 'admin: everything, for all tenants',
};
const DAY_MS = 86_400_000;
const LIVES = { '': 'Never', '30': 'In 30 days', '90': 'In 90 days', '365': 'In a year' };

/** Creates a key, and shows it once. */
export function NewKey({ reload, onClose }: { reload: () => void; onClose: () => void }) {
  const { query } = useUrl();
  const [name, setName] = useState('');
  const [tenant, setTenant] = useState(query.of ?? query.tenant ?? '');
  const [scopes, setScopes] = useState<readonly Scope[]>(['read', 'send']);
  const [environment, setEnvironment] = useState<Key['environment']>('live');
  const [days, setDays] = useState('');
  const [created, setCreated] = useState<CreateKeyData>();
  const isAdmin = scopes.includes('admin');
  const submit = useSubmit(
    () =>
      createKey({
        scopes: [...scopes],
        environment,
        name: name.trim() === '' ? null : name.trim(),
        ...(tenant.trim() === '' || isAdmin ? {} : { tenant: tenant.trim() }),
        expires_at: days === '' ? null : new Date(Date.now() + Number(days) * DAY_MS).toISOString(),
      }),
    (key) => {
      setCreated(key);
      reload();
    },
  );
  if (created !== undefined)
    return (
      <SecretOnce title="The key is created" secret={created.key} what="the key" onClose={onClose}>
        <p>
          Programs send it as a header: <code>Authorization: Bearer …</code>
        </p>
      </SecretOnce>
    );
  const { error } = submit;
  return (
    <FormDialog
      title="New key"
      submit={submit}
      action="Create"
      keep="Cancel"
      fields={['name', 'tenant', 'scopes', 'environment', 'expires_at']}
      onClose={onClose}
    >
      <TextField
        label="Name"
        name="name"
        hint="What uses it, such as shop."
        error={error}
        value={name}
        onChange={setName}
      />
      <Checks
        label="Scopes"
        choices={SCOPES}
        chosen={scopes}
        onChange={setScopes}
        error={error?.fields.scopes}
      />
      {!isAdmin && (
        <TextField
          label="Tenant"
          name="tenant"
          hint="Empty: default."
          error={error}
          value={tenant}
          onChange={setTenant}
        />
      )}
      <div class="row">
        <SelectField
          label="Environment"
          name="environment"
          error={error}
          value={environment}
          onChange={(value) => setEnvironment(value === 'test' ? 'test' : 'live')}
          choices={{ live: 'live', test: 'test' }}
        />
        <SelectField
          label="Expires"
          name="expires_at"
          error={error}
          value={days}
          onChange={setDays}
          choices={LIVES}
        />
      </div>
    </FormDialog>
  );
}
