import { useState } from 'preact/hooks';
import { createTenant, listTenants, type Tenant } from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { TextField } from '../../components/text-field.tsx';
import { Time } from '../../components/time.tsx';
import { toast } from '../../components/toast.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';

const COLUMNS: readonly Column<Tenant>[] = [
  {
    head: 'Tenant',
    cell: ({ id, name }) => (
      <>
        {id}
        {name !== null && <span class="second">{name}</span>}
      </>
    ),
  },
  {
    head: 'Bodies kept for',
    fit: true,
    cell: ({ retention }) => retention ?? <span class="muted">as the service is set</span>,
  },
  { head: 'Created', fit: true, wide: true, cell: ({ created_at }) => <Time at={created_at} /> },
];

/** All tenants. */
export function Tenants() {
  const { query, set, link } = useUrl();
  const pages = usePages((page, signal) => listTenants(page, { signal }), []);
  return (
    <>
      <div class="screen-head">
        <h1>Tenants</h1>
        <a class="button primary" href={link({ do: 'new' })}>
          New tenant
        </a>
      </div>
      <PagedTable
        caption="Tenants"
        pages={pages}
        columns={COLUMNS}
        keyOf={({ id }) => id}
        href={({ id }) => to(`tenants/${encodeURIComponent(id)}`)}
        empty={<Empty title="There are no tenants" />}
      />
      {query.do === 'new' && <NewTenant onClose={() => set({ do: undefined }, true)} />}
    </>
  );
}

function NewTenant({ onClose }: { onClose: () => void }) {
  const [id, setId] = useState('');
  const [name, setName] = useState('');
  const { go } = useUrl();
  const submit = useSubmit(
    () =>
      createTenant({
        ...(id.trim() === '' ? {} : { id: id.trim() }),
        name: name.trim() === '' ? null : name.trim(),
      }),
    (tenant) => {
      toast('Created.');
      go(to(`tenants/${encodeURIComponent(tenant.id)}`));
    },
  );
  return (
    <FormDialog
      title="New tenant"
      submit={submit}
      action="Create"
      keep="Cancel"
      fields={['id', 'name']}
      onClose={onClose}
    >
      <TextField
        label="Id"
        name="id"
        hint="Your own id: letters, digits, _, - and dots. It never changes. Empty: a random one."
        error={submit.error}
        value={id}
        onChange={setId}
      />
      <TextField label="Name" name="name" error={submit.error} value={name} onChange={setName} />
    </FormDialog>
  );
}
