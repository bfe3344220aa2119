import { type Key, listKeys, revokeKey } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { SearchField } from '../../components/search-field.tsx';
import { Empty } from '../../components/states.tsx';
import { type Column, PagedTable } from '../../components/table.tsx';
import { Time } from '../../components/time.tsx';
import { usePages } from '../../data/use-pages.ts';
import { useUrl } from '../../data/use-url.ts';
import { NewKey } from './new-key.tsx';

/** The keys of the API: who may do what, and which are still used. */
export function Keys() {
  const { query, set, link } = useUrl();
  const { of: tenant } = query;
  const pages = usePages((page, signal) => listKeys({ ...page, tenant }, { signal }), [tenant]);
  return (
    <>
      <div class="screen-head">
        <h1>Keys</h1>
        <a class="button primary" href={link({ do: 'new' })}>
          New key
        </a>
      </div>
      <div class="filters">
        <SearchField label="Tenant" name="of" />
      </div>
      <PagedTable
        caption="Keys"
        pages={pages}
        columns={columnsOf(pages.reload)}
        keyOf={({ id }) => id}
        empty={
          <Empty
            title={tenant === undefined ? 'There are no keys yet' : 'This tenant has no keys'}
            command="posthorn keys create --scopes send,read --name shop"
          >
            <p>
              A key lets a program call the API, with the scopes and for the tenant that you choose.{' '}
              <a href={link({ do: 'new' })}>Create one</a>, or on the command line:
            </p>
          </Empty>
        }
      />
      {query.do === 'new' && (
        <NewKey reload={pages.reload} onClose={() => set({ do: undefined }, true)} />
      )}
    </>
  );
}

function columnsOf(reload: () => void): Column<Key>[] {
  return [
    {
      head: 'Key',
      cell: ({ id, name, hint, environment }) => (
        <>
          {name ?? <span class="muted">without a name</span>}
          <span class="second">
            <code>{hint}…</code> · {id} · {environment}
          </span>
        </>
      ),
    },
    {
      head: 'May',
      cell: ({ scopes, tenant }) => (
        <>
          {scopes.join(', ')}
          <span class="second">{tenant === null ? 'all tenants' : `tenant ${tenant}`}</span>
        </>
      ),
    },
    {
      head: 'Last used',
      fit: true,
      wide: true,
      cell: ({ last_used_at }) =>
        last_used_at === null ? <span class="muted">never</span> : <Time at={last_used_at} />,
    },
    {
      head: 'Expires',
      fit: true,
      wide: true,
      cell: ({ expires_at }) =>
        expires_at === null ? (
          <span class="muted">never</span>
        ) : Date.parse(expires_at) <= Date.now() ? (
          <span class="badge bad">expired</span>
        ) : (
          <Time at={expires_at} />
        ),
    },
    {
      head: 'Action',
      fit: true,
      cell: ({ id, name }) => (
        <Action
          kind="danger"
          run={async () => {
            await revokeKey(id);
            reload();
          }}
          done="Revoked. Every process refuses it within a second."
          confirm={`The key ${name === null ? id : `“${name}”`} is refused from now on, and its sessions end. This cannot be taken back.`}
        >
          Revoke
        </Action>
      ),
    },
  ];
}
