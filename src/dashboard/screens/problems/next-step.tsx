import {
  enableSubscription,
  type ReceiverProblem,
  recoverSubscription,
  retryDelivery,
} from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';

interface NextStepProps {
  readonly problem: ReceiverProblem;
  readonly reload: () => void;
}

/** The one next step of a problem as a button: it does it, or leads to the form that does. */
export function NextStep({ problem, reload }: NextStepProps) {
  const { go } = useUrl();
  const { subscription_id: id, next_step, last_delivery, since } = problem;
  switch (next_step.action) {
    case 'enable':
      return (
        <Action
          kind="primary"
          run={async () => {
            await enableSubscription(id, {}, { backlog: 'resume' });
            reload();
          }}
          done="Enabled. What is held is sent, the oldest first."
          confirm="Do this when the receiver is mended: its record of failures is cleared, its circuit is closed, and what is held is sent."
        >
          Enable, and send what is held
        </Action>
      );
    case 'edit_url':
      return <Step href={to(`subscriptions/${id}/edit`)}>Edit the URL</Step>;
    case 'rotate_secret':
      return <Step href={to(`subscriptions/${id}`, { do: 'rotate' })}>Rotate the secret</Step>;
    case 'pause':
      return <Step href={to(`subscriptions/${id}`, { do: 'pause' })}>Pause</Step>;
    case 'replay_since': {
      const from = next_step.request?.body?.since;
      return (
        <Action
          kind="primary"
          run={async () => {
            const task = await recoverSubscription(id, {
              since: typeof from === 'string' ? from : since,
            });
            go(to(`tasks/${task.id}`));
          }}
          done="Started."
          confirm="Do this when the receiver is mended: all deliveries to it that failed since then are sent again, at most 100 a second."
        >
          Send again what failed
        </Action>
      );
    }
    case 'retry':
      return (
        <Action
          kind="primary"
          run={async () => {
            await retryDelivery(last_delivery);
            reload();
          }}
          done="It is sent now."
        >
          Retry it now
        </Action>
      );
    default:
      return <p class="hint">{next_step.text}</p>;
  }
}

function Step({ href, children }: { href: string; children: string }) {
  return (
    <a class="button primary" href={href}>
      {children}
    </a>
  );
}
