import { useRoute } from 'preact-iso/router';
import {
  type GetSubscriptionData,
  getSubscription,
  getSubscriptionHealth,
  type SubscriptionHealth,
} from '../../api/client.ts';
import { Show } from '../../components/states.tsx';
import { useData } from '../../data/use-data.ts';
import { receiverOf } from '../../lib/receiver.ts';
import { to } from '../../lib/urls.ts';
import { may } from '../../session.ts';
import { Actions } from './actions.tsx';
import { Activity } from './activity.tsx';
import { Configuration } from './configuration.tsx';
import { Dialogs } from './dialogs.tsx';
import { Health } from './health.tsx';
import { ReceiverState } from './receiver-state.tsx';
import { Signing } from './signing.tsx';

const REFRESH_MS = 5_000;

/** One subscription: how its receiver does, what it is set to, and what can be done about it. */
export function Subscription() {
  const { params } = useRoute();
  const id = Number(params.subscription_id);
  const loaded = useData(
    async (signal) => {
      const [subscription, health] = await Promise.all([
        getSubscription(id, {}, { signal }),
        getSubscriptionHealth(id, {}, { signal }),
      ]);
      return { subscription, health };
    },
    [id],
    { everyMs: REFRESH_MS },
  );
  return (
    <Show loaded={loaded}>
      {({ subscription, health }) => (
        <>
          <Head subscription={subscription} health={health} reload={loaded.reload} />
          {subscription.problem !== null && (
            <div class="notice bad" role="alert">
              <h2>Nothing can be sent to this subscription</h2>
              <p>{subscription.problem}</p>
            </div>
          )}
          <Health subscription={subscription} health={health} />
          <Activity id={id} />
          <Configuration subscription={subscription} />
          <Signing subscription={subscription} />
          {may('manage') && <Dialogs subscription={subscription} reload={loaded.reload} />}
        </>
      )}
    </Show>
  );
}

interface HeadProps {
  readonly subscription: GetSubscriptionData;
  readonly health: SubscriptionHealth;
  readonly reload: () => void;
}

function Head({ subscription, health, reload }: HeadProps) {
  const { id, url, description, status } = subscription;
  return (
    <>
      <p class="path">
        <a href={to('subscriptions')}>Subscriptions</a> / {id}
      </p>
      <div class="screen-head">
        <div class="title">
          <h1 class="url">{receiverOf(url)}</h1>
          <p class="second">
            <ReceiverState
              status={status}
              circuit={health.circuit.state}
              failing={health.failing_since !== null}
            />
            {description !== null && <span>{description}</span>}
          </p>
        </div>
        {may('manage') && <Actions subscription={subscription} reload={reload} />}
      </div>
    </>
  );
}
