import { useRoute } from 'preact-iso/router';
import { deleteTenant, getTenant } from '../../api/client.ts';
import { Show } from '../../components/states.tsx';
import { Time } from '../../components/time.tsx';
import { toast } from '../../components/toast.tsx';
import { TypedConfirm } from '../../components/typed-confirm.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { countOf } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';
import { PortalForm } from './portal-form.tsx';
import { PortalLink } from './portal-link.tsx';
import { TenantForm } from './tenant-form.tsx';

/** `default` owns the routes outside of /v1, so it stays. */
const STAYS = 'default';

/** One tenant: where its things are, and what it is set to. */
export function Tenant() {
  const { params } = useRoute();
  const id = params.tenant_id ?? '';
  const { query, set, link } = useUrl();
  const loaded = useData((signal) => getTenant(id, { signal }), [id]);
  const own = id === STAYS ? null : id;
  return (
    <>
      <p class="path">
        <a href={to('tenants')}>Tenants</a> / {id}
      </p>
      <Show loaded={loaded}>
        {(tenant) => (
          <>
            <div class="screen-head">
              <div class="title">
                <h1>{tenant.name ?? tenant.id}</h1>
                <p class="second">
                  <span>
                    created <Time at={tenant.created_at} />
                  </span>
                  <span>
                    changed <Time at={tenant.updated_at} />
                  </span>
                </p>
              </div>
              <div class="buttons">
                <a class="button" href={to('subscriptions', { tenant: own })}>
                  Subscriptions
                </a>
                <a class="button" href={to('webhooks', { tenant: own })}>
                  Webhooks
                </a>
                <a class="button" href={to('keys', { of: id })}>
                  Keys
                </a>
                <a class="button" href={link({ do: 'portal' })}>
                  Portal link
                </a>
                {id !== STAYS && (
                  <a class="button danger" href={link({ do: 'delete' })}>
                    Delete
                  </a>
                )}
              </div>
            </div>
            {/* Saving one form leaves what is typed in the other. */}
            <TenantForm
              key={JSON.stringify([tenant.name, tenant.retention, tenant.metadata])}
              tenant={tenant}
              reload={loaded.reload}
            />
            <PortalForm
              key={`portal ${JSON.stringify(tenant.portal)}`}
              tenant={tenant}
              reload={loaded.reload}
            />
            {query.do === 'portal' && (
              <PortalLink tenant={id} onClose={() => set({ do: undefined }, true)} />
            )}
            {query.do === 'delete' && id !== STAYS && (
              <Delete id={id} onClose={() => set({ do: undefined }, true)} />
            )}
          </>
        )}
      </Show>
    </>
  );
}

function Delete({ id, onClose }: { id: string; onClose: () => void }) {
  const { go } = useUrl();
  return (
    <TypedConfirm
      title="Delete the tenant"
      word={id}
      action="Delete"
      run={async () => {
        const { subscriptions, keys } = await deleteTenant(id);
        toast(
          `Deleted, with ${countOf(subscriptions, 'subscription', 'subscriptions')} and ${countOf(keys, 'key', 'keys')}.`,
        );
        go(to('tenants', { tenant: null }), true);
      }}
      onClose={onClose}
    >
      <p>
        Its subscriptions are deleted, what waits for them is cancelled, and its keys are revoked.
        Its history stays until its retention ends. Its id cannot be used again. This cannot be
        taken back.
      </p>
    </TypedConfirm>
  );
}
