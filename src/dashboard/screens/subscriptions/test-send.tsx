import { useState } from 'preact/hooks';
import { type TestSubscriptionData, testSubscription } from '../../api/client.ts';
import { FormDialog } from '../../components/form-dialog.tsx';
import { JsonText } from '../../components/json-text.tsx';
import { Scroll } from '../../components/scroll.tsx';
import { StateBadge } from '../../components/state-badge.tsx';
import { TextField } from '../../components/text-field.tsx';
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
  const submit = useSubmit(
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
    <FormDialog
      title="Send a test"
      submit={submit}
      action={
        submit.busy ? 'Waiting for the receiver…' : outcome === undefined ? 'Send' : 'Send again'
      }
      keep="Close"
      fields={['event_type', 'data']}
      onClose={onClose}
    >
      <p>
        It is signed and sent like a delivery, now, also if the subscription is paused. It is not
        stored and not retried.
      </p>
      <TextField
        label="Event type"
        name="event_type"
        error={submit.error}
        value={type}
        onChange={setType}
      />
      <TextField
        label="Data (JSON)"
        name="data"
        rows={4}
        code
        error={submit.error}
        value={data}
        onChange={setData}
      />
      {outcome !== undefined && <Outcome outcome={outcome} />}
    </FormDialog>
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
