import { type GetSubscriptionData, resumeSubscription } from '../../api/client.ts';
import { Action } from '../../components/button.tsx';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';
import { shows } from '../../session.ts';

interface ActionsProps {
  readonly subscription: GetSubscriptionData;
  readonly reload: () => void;
}

/** What can be done with a subscription. Most of it opens a window, which the URL names. */
export function Actions({ subscription: { id, url, status }, reload }: ActionsProps) {
  const { link } = useUrl();
  const open = (what: string) => link({ do: what });
  return (
    <div class="buttons">
      {status === 'active' && (
        <a class="button" href={open('pause')}>
          Pause
        </a>
      )}
      {status === 'paused' && (
        <Action
          run={async () => {
            await resumeSubscription(id);
            reload();
          }}
          done="Resumed. Its held deliveries go out, the oldest first."
        >
          Resume
        </Action>
      )}
      {status !== 'active' && (
        <a class="button" href={open('enable')}>
          {status === 'disabled' ? 'Enable' : 'Skip the backlog'}
        </a>
      )}
      {url !== null && (
        <a class="button" href={open('test')}>
          Send a test
        </a>
      )}
      <a class="button" href={open('replay-latest')}>
        Send the latest
      </a>
      {shows('tasks') && (
        <a class="button" href={to('tasks/new', { kind: 'replay', subscription_id: id })}>
          Replay
        </a>
      )}
      <a class="button" href={to(`subscriptions/${id}/edit`)}>
        Edit
      </a>
      <a class="button danger" href={open('delete')}>
        Delete
      </a>
    </div>
  );
}
