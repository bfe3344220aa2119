import { useState } from 'preact/hooks';
import { type TestSubscriptionData, testSubscription } from '../../api/client.ts';
import { Dialog } from '../../components/dialog.tsx';
import { Field, FormError } from '../../components/field.tsx';
import { JsonText } from '../../components/json-text.tsx';
import { Scroll } from '../../components/scroll.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { useSubmit } from '../../data/use-submit.ts';
import { formatDuration } from '../../lib/format.ts';
import { readJson } from '../../lib/read-json.ts';
import type { WindowProps } from './dialogs.tsx';

const PHASES = [
  ['dns', 'Name'],
  ['connect', 'Connect'],
  ['tls', 'TLS'],
  ['first_byte', 'First byte'],
] as const;

/** Sends a test webhook now, and shows what the receiver answers and how long each phase took. */
export function TestSend({ subscription: { id }, onClose }: WindowProps) {
  const [type, setType] = useState('posthorn.test');
  const [data, setData] = useState('{ "message": "This is a test." }');
  const [outcome, setOutcome] = useState<TestSubscriptionData>();
  const { onSubmit, busy, error } = useSubmit(
    async () =>
      testSubscription(
        id,
        {},
        {
          ...(type.trim() === '' ? {} : { event_type: type.trim() }),
          data: readJson('data', data),
        },
      ),
    setOutcome,
  );
  return (
    <Dialog title="Send a test" onClose={onClose}>
      <form onSubmit={onSubmit}>
        <div class="dialog-body">
          <p>
            It is signed and sent like a delivery, now, also if the subscription is paused. It is
            not stored and not retried.
          </p>
          <Field label="Event type" name="event_type" error={error}>
            {(input) => (
              <input
                {...input}
                spellcheck={false}
                value={type}
                onInput={(event) => setType(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label="Data (JSON)" name="data" error={error}>
            {(input) => (
              <textarea
                {...input}
                class="code"
                rows={4}
                spellcheck={false}
                value={data}
                onInput={(event) => setData(event.currentTarget.value)}
              />
            )}
          </Field>
          <FormError error={error} fields={['event_type', 'data']} />
          {outcome !== undefined && <Outcome outcome={outcome} />}
        </div>
        <footer class="buttons">
          <button type="button" class="button plain" onClick={onClose}>
            Close
          </button>
          <button type="submit" class="button primary" disabled={busy} aria-busy={busy}>
            {busy ? 'Waiting for the receiver…' : outcome === undefined ? 'Send' : 'Send again'}
          </button>
        </footer>
      </form>
    </Dialog>
  );
}

function Outcome({ outcome }: { outcome: TestSubscriptionData }) {
  const { status, error, response, timing_ms } = outcome;
  const headers = Object.entries(response?.headers ?? {});
  return (
    <section class="outcome" aria-label="The answer" aria-live="polite">
      <p class="outcome-head">
        <StateBadge state={status} />
        {response !== null && <strong>HTTP {response.status_code}</strong>}
        <span class="muted">in {formatDuration(timing_ms.total)}</span>
      </p>
      {error !== null && <p>{error}</p>}
      <dl class="phases">
        {PHASES.map(([phase, words]) => {
          const ms = timing_ms[phase];
          return (
            <div key={phase}>
              <dt>{words}</dt>
              <dd>{ms === null ? <span class="muted">–</span> : formatDuration(ms)}</dd>
            </div>
          );
        })}
      </dl>
      {response !== null && (
        <>
          {response.body_excerpt === null ? (
            <p class="muted">The answer has no body.</p>
          ) : (
            <div class="boxed">
              <JsonText text={response.body_excerpt} label="Body of the answer" />
            </div>
          )}
          <details>
            <summary>Headers of the answer ({headers.length})</summary>
            <div class="boxed">
              <Scroll label="Headers of the answer">
                {headers.map(([name, value]) => `${name}: ${[value].flat().join(', ')}`).join('\n')}
              </Scroll>
            </div>
          </details>
        </>
      )}
    </section>
  );
}
