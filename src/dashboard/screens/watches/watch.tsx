import { useRoute } from 'preact-iso/router';
import { deleteWatch, getWatch, type Watch as WatchedTable } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { Show } from '../../components/states.tsx';
import { Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { countOf } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';
import { Row, unset } from '../subscriptions/configuration.tsx';
import { NewBackfill } from './backfills.tsx';

const REFRESH_MS = 10_000;

/** One watched table: what it sends, and what could not be sent. */
export function Watch() {
  const { params } = useRoute();
  const { query, set } = useUrl();
  const id = Number(params.watch_id);
  const loaded = useData((signal) => getWatch(id, { signal }), [id], { everyMs: REFRESH_MS });
  return (
    <>
      <p class="path">
        <a href={to('watches')}>Watched tables</a> / {params.watch_id}
      </p>
      <Show loaded={loaded}>
        {(watch) => (
          <>
            <Details watch={watch} />
            {query.do === 'rows' && (
              <NewBackfill watch={watch} onClose={() => set({ do: undefined }, true)} />
            )}
          </>
        )}
      </Show>
    </>
  );
}

function Details({ watch: w }: { watch: WatchedTable }) {
  const { link, go } = useUrl();
  return (
    <>
      <div class="screen-head">
        <div class="title">
          <h1>
            {w.schema}.{w.table}
          </h1>
          <p class="second">
            <StateBadge state={w.enabled ? 'active' : 'disabled'} />
            <span>
              sends <code>{w.event_type}.*</code>
            </span>
          </p>
        </div>
        <div class="buttons">
          <a class="button" href={link({ do: 'rows' })}>
            Send existing rows
          </a>
          <Action
            kind="danger"
            run={async () => {
              await deleteWatch(w.id);
              go(to('watches'));
            }}
            done="Ended."
            confirm={`Changes of ${w.schema}.${w.table} are no longer sent. Webhooks that were sent already are still delivered.`}
          >
            End the watch
          </Action>
        </div>
      </div>
      {!w.enabled && (
        <div class="notice warn">
          <p>
            Its triggers are disabled, so nothing is sent. As the owner of the table, run:{' '}
            <code>
              alter table {w.schema}.{w.table} enable trigger user
            </code>
          </p>
        </div>
      )}
      {w.failures > 0 && (
        <div class="notice bad">
          <h2>{countOf(w.failures, 'webhook', 'webhooks')} could not be sent</h2>
          <p>
            The last one <Time at={w.last_failed_at} />
            {w.last_error !== null && `: ${w.last_error}`}
          </p>
        </div>
      )}
      <dl class="settings panel section">
        <Row name="Operations">{w.ops.join(', ')}</Row>
        <Row name="Condition">{w.when === null ? unset('all rows') : <code>{w.when}</code>}</Row>
        <Row name="Updates of">{w.columns?.join(', ') ?? unset('any column')}</Row>
        <Row name="Columns sent">{w.payload_columns?.join(', ') ?? unset('all')}</Row>
        <Row name="Old row">{w.with_old ? 'updates have it' : 'left out of updates'}</Row>
        <Row name="Ordering key">{w.ordering_key ?? unset('none')}</Row>
        <Row name="Tenant">
          {w.tenant_column === null ? w.tenant : `in the column ${w.tenant_column}`}
        </Row>
        <Row name="Trigger">per {w.per}</Row>
        <Row name="On an error">
          {w.on_error === 'skip'
            ? 'the statement succeeds, and what could not be sent is counted'
            : 'the statement fails'}
        </Row>
        <Row name="Rights of">{w.owner}</Row>
      </dl>
    </>
  );
}
