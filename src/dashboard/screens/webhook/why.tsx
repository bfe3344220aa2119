import { type DeliveryWhy, getDeliveryWhy } from '../../api/client.ts';
import { request } from '../../api/request.ts';
import { Action } from '../../components/button.tsx';
import { Show } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';
import { may } from '../../session.ts';

const EVERY_MS = 5_000;

/** Changes that one press of a button makes. The others have their own buttons, or need more than a press. */
const PRESSED: Partial<Record<DeliveryWhy['change'][number]['action'], string>> = {
  enable: 'Enable the subscription',
  resume: 'Resume the subscription',
};

interface WhyProps {
  readonly deliveryId: string;
  /** Changes whenever the answer may. */
  readonly version: string;
  readonly unfinished: boolean;
  /** Called when a change was made. */
  readonly onChange: () => void;
}

/** Why a delivery is in its state, in a sentence, with the buttons for what would change it. */
export function Why({ deliveryId, version, unfinished, onChange }: WhyProps) {
  const why = useData(
    (signal) => getDeliveryWhy(deliveryId, {}, { signal }),
    [deliveryId, version],
    { everyMs: unfinished ? EVERY_MS : undefined, keep: true },
  );
  return (
    <Show loaded={{ ...why, stale: why.error !== undefined }}>
      {({ why: sentence, change }) => (
        <div class="why">
          <p>{sentence}</p>
          {may('manage') &&
            change.map(({ action, request: asked }) => {
              const words = PRESSED[action];
              if (words === undefined || asked === null || asked.input.length > 0) return null;
              const { method, path, body } = asked;
              return (
                <Action
                  key={action}
                  run={async () => {
                    await request(method, path, { body: body ?? undefined, ofTenant: true });
                    onChange();
                    why.reload();
                  }}
                  done="Done."
                >
                  {words}
                </Action>
              );
            })}
        </div>
      )}
    </Show>
  );
}
