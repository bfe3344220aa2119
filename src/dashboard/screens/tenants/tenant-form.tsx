import { useState } from 'preact/hooks';
import { type Tenant, updateTenant } from '../../api/client.ts';
import { FormError } from '../../components/field.tsx';
import { Pairs, pairsOf, recordOf } from '../../components/pairs.tsx';
import { TextField } from '../../components/text-field.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';

/** The name of a tenant, how long its bodies are kept, and its metadata. */
export function TenantForm({ tenant, reload }: { tenant: Tenant; reload: () => void }) {
  const [name, setName] = useState(tenant.name ?? '');
  const [retention, setRetention] = useState(tenant.retention ?? '');
  const [metadata, setMetadata] = useState(pairsOf(tenant.metadata));
  const { onSubmit, busy, error } = useSubmit(
    () =>
      updateTenant(tenant.id, {
        name: name.trim() === '' ? null : name.trim(),
        retention: retention.trim() === '' ? null : retention.trim(),
        metadata: recordOf(metadata),
      }),
    () => {
      toast('Saved.');
      reload();
    },
  );
  return (
    <form class="form" onSubmit={onSubmit} noValidate>
      <fieldset class="part">
        <legend>Settings</legend>
        <TextField label="Name" name="name" error={error} value={name} onChange={setName} />
        <TextField
          label="Bodies are kept for"
          name="retention"
          hint="The bodies of its webhooks and the answers of receivers: 1h to 3650d, at most as long as the service keeps them. Empty: as the service is set."
          placeholder="7d"
          error={error}
          value={retention}
          onChange={setRetention}
        />
        <Pairs
          label="Metadata"
          hint="Your own keys and values, for other programs."
          nameLabel="Key"
          pairs={metadata}
          onChange={setMetadata}
          error={error?.fields.metadata}
        />
        <FormError error={error} fields={['name', 'retention', 'metadata']} />
        <div class="buttons">
          <button type="submit" class="button primary" disabled={busy} aria-busy={busy}>
            Save
          </button>
        </div>
      </fieldset>
    </form>
  );
}
