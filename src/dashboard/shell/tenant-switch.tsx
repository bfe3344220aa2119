import { useId } from 'preact/hooks';
import { listTenants } from '../api/client.ts';
import { useData } from '../data/use-data.ts';
import { useUrl } from '../data/use-url.ts';
import { may, session } from '../session.ts';

/** More than a list to choose from can show; beyond it, the id is typed. */
const MOST_LISTED = 1000;
const DEFAULT_TENANT = 'default';

/** Which tenant the screens show, for a key of all tenants; `tenant` of the URL says it. Others see their tenant. */
export function TenantSwitch() {
  const { value } = session;
  const ofAll = value === undefined || value.tenant === null;
  if (!ofAll) return <span class="tenant">{value.tenant}</span>;
  return <Choice />;
}

function Choice() {
  const { query, set } = useUrl();
  const id = useId();
  const admin = may('admin');
  const { data } = useData(
    async (signal) => (admin ? listTenants({ limit: MOST_LISTED }, { signal }) : undefined),
    [admin],
  );
  const current = query.tenant ?? DEFAULT_TENANT;
  const ids = data?.data.map((tenant) => tenant.id) ?? [];
  // A service with one tenant has nothing to choose.
  if (
    query.tenant === undefined &&
    ids.length < 2 &&
    (data === undefined || data.next_cursor === null)
  )
    return null;
  return (
    <form
      class="tenant"
      onSubmit={(event) => {
        event.preventDefault();
        const chosen = new FormData(event.currentTarget).get('tenant');
        choose(typeof chosen === 'string' ? chosen : '');
      }}
    >
      <label for={id}>Tenant</label>
      <input
        id={id}
        name="tenant"
        list={`${id}-all`}
        defaultValue={current}
        key={current}
        autocomplete="off"
        spellcheck={false}
        onFocus={(event) => event.currentTarget.select()}
        onChange={(event) => choose(event.currentTarget.value)}
      />
      <datalist id={`${id}-all`}>
        {ids.map((tenant) => (
          <option key={tenant} value={tenant} />
        ))}
      </datalist>
    </form>
  );

  function choose(tenant: string) {
    const name = tenant.trim();
    if (name === current) return;
    set({ tenant: name === DEFAULT_TENANT ? undefined : name, cursor: undefined });
  }
}
