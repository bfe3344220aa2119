import { useState } from 'preact/hooks';
import { type Backfill, cancelBackfill, createBackfill, type Watch } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { FormDialog } from '../../components/form-dialog.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import type { Column } from '../../components/table.tsx';
import { TextField } from '../../components/text-field.tsx';
import { Time } from '../../components/time.tsx';
import { toast } from '../../components/toast.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { countOf, formatCount } from '../../lib/format.ts';
import { to } from '../../lib/urls.ts';

/** The columns of a list of backfills, with a button that ends one. */
export function backfillColumns(reload: () => void): Column<Backfill>[] {
  return [
    {
      head: 'Rows of',
      cell: ({ watch_id, schema, table, where, per_second }) => (
        <>
          {table === null ? (
            <span class="muted">a table that is gone</span>
          ) : (
            <a href={to(`watches/${watch_id}`)}>
              {schema}.{table}
            </a>
          )}
          <span class="second">
            {where === null ? 'all rows' : <code>{where.slice(0, 100)}</code>}
            {per_second !== null && ` · at most ${formatCount(per_second)} a second`}
          </span>
        </>
      ),
    },
    { head: 'Progress', fit: true, cell: (backfill) => <Progress backfill={backfill} /> },
    { head: 'Started', fit: true, wide: true, cell: ({ created_at }) => <Time at={created_at} /> },
    {
      head: 'Action',
      fit: true,
      cell: (backfill) =>
        isUnfinished(backfill) && (
          <Action
            kind="danger"
            run={async () => {
              await cancelBackfill(backfill.id);
              reload();
            }}
            done="Cancelled. What was sent stays sent."
            confirm="No further rows are sent. Rows that were sent already stay sent."
          >
            Cancel
          </Action>
        ),
    },
  ];
}

function isUnfinished({ state }: Backfill): boolean {
  return state === 'waiting' || state === 'running';
}

function Progress({ backfill }: { backfill: Backfill }) {
  const { id, state, progress, rows_sent, error, sent_by_workers } = backfill;
  const runs = isUnfinished(backfill);
  return (
    <div class="progress">
      <div class="progress-head">
        <StateBadge state={state} />
        <span class="muted">{runs ? `${Math.min(99, Math.floor(progress * 100))} %` : ''}</span>
      </div>
      {runs && <progress max={1} value={progress} aria-label="Progress" />}
      <span class="second">{countOf(rows_sent, 'row', 'rows')} sent</span>
      {error !== null && <span class="second">{error}</span>}
      {runs && !sent_by_workers && (
        <span class="second">
          The workers may not send it. A session of the table’s owner calls{' '}
          <code>posthorn.send_backfill({id})</code>.
        </span>
      )}
    </div>
  );
}

/** Sends the rows that a watched table already has. */
export function NewBackfill({ watch, onClose }: { watch: Watch; onClose: () => void }) {
  const { go } = useUrl();
  const [where, setWhere] = useState('');
  const [perSecond, setPerSecond] = useState('');
  const submit = useSubmit(
    () =>
      createBackfill(watch.id, {
        where: where.trim() === '' ? null : where.trim(),
        per_second: perSecond.trim() === '' ? null : Number(perSecond),
      }),
    () => {
      toast('Started.');
      go(to('watches', { show: 'rows' }));
    },
  );
  return (
    <FormDialog
      title="Send the existing rows"
      submit={submit}
      action="Send them"
      keep="Cancel"
      fields={['where', 'per_second']}
      onClose={onClose}
    >
      <p>
        Each row of {watch.schema}.{watch.table} is sent as <code>{watch.event_type}.inserted</code>{' '}
        with <code>"backfill": true</code> in its data.
      </p>
      <TextField
        label="Only rows with"
        name="where"
        hint="A condition on new. Empty: all rows."
        placeholder="new.total > 200"
        rows={2}
        code
        error={submit.error}
        value={where}
        onChange={setWhere}
      />
      <TextField
        label="Rows a second, at most"
        name="per_second"
        hint="Empty: as fast as possible."
        type="number"
        error={submit.error}
        value={perSecond}
        onChange={setPerSecond}
      />
    </FormDialog>
  );
}
