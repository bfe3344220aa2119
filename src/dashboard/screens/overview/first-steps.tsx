import { useEffect, useState } from 'preact/hooks';
import { listSubscriptions, listWebhooks } from '../../api/client.ts';
import { Empty } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';
import { apiCommand } from '../../lib/api-command.ts';

/** So soon does a step go when it is done. */
const EVERY_MS = 5_000;

type Step = 'subscribe' | 'send' | 'none';

async function findStep(signal: AbortSignal): Promise<Step> {
  const webhooks = await listWebhooks({ limit: 1 }, { signal });
  if (webhooks.data.length > 0 || webhooks.next_cursor !== null) return 'none';
  const subscriptions = await listSubscriptions({ limit: 1 }, { signal });
  return subscriptions.data.length === 0 ? 'subscribe' : 'send';
}

/** What to do first, as long as there is no subscription, or no webhook. */
export function FirstSteps() {
  const [over, setOver] = useState(false);
  const { data: step } = useData(findStep, [], { everyMs: over ? undefined : EVERY_MS });
  useEffect(() => setOver(step === 'none'), [step]);
  if (step === 'subscribe')
    return (
      <Empty
        title="First, a subscription"
        command={apiCommand('POST', '/v1/subscriptions', {
          url: 'https://example.com/webhooks',
          event_types: ['*'],
        })}
      >
        <p>A subscription says to which URL webhooks are delivered. Create one:</p>
      </Empty>
    );
  if (step === 'send') return <SendFirst />;
  return null;
}

/** How to send a webhook, where none was sent yet. */
export function SendFirst() {
  return (
    <Empty
      title="Send a webhook"
      command={apiCommand('POST', '/v1/webhooks', {
        event_type: 'order.created',
        data: { order: 7 },
      })}
    >
      <p>Nothing was sent yet. Send a webhook, and see here how it is delivered:</p>
    </Empty>
  );
}
