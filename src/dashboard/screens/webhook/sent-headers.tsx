import { useState } from 'preact/hooks';
import { getSentRequest } from '../../api/client.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Show } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';

interface SentHeadersProps {
  readonly deliveryId: string;
  readonly attemptNumber: number;
}

/** The headers of the request of an attempt, read when they are asked for. */
export function SentHeaders(props: SentHeadersProps) {
  const [open, setOpen] = useState(false);
  return (
    <details class="sent" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Request headers</summary>
      {open && <Headers {...props} />}
    </details>
  );
}

function Headers({ deliveryId, attemptNumber }: SentHeadersProps) {
  const loaded = useData(
    (signal) => getSentRequest(deliveryId, attemptNumber, {}, { signal }),
    [deliveryId, attemptNumber],
  );
  return (
    <Show loaded={loaded}>
      {({ sent, headers, notes }) =>
        sent ? (
          <>
            <dl class="sent-headers">
              {headers.map(({ name, value, note }) => (
                <div key={name}>
                  <dt class="code muted">{name}</dt>
                  <dd>
                    {value !== null && <span class="code">{value}</span>}
                    {note !== null && <span class="muted"> {note}</span>}
                  </dd>
                </div>
              ))}
            </dl>
            {notes.map((note) => (
              <p key={note} class="hint">
                {note}
              </p>
            ))}
            <CopyButton
              what="the headers that are known"
              text={headers
                .flatMap(({ name, value }) => (value === null ? [] : [`${name}: ${value}`]))
                .join('\n')}
            >
              Copy
            </CopyButton>
          </>
        ) : (
          <p class="hint">The attempt ended before a request was sent.</p>
        )
      }
    </Show>
  );
}
