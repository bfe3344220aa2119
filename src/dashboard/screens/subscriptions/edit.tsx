import { useState } from 'preact/hooks';
import { useRoute } from 'preact-iso/router';
import {
  type CreateSubscriptionData,
  createSubscription,
  getSubscription,
  type Subscription,
  updateSubscription,
} from '../../api/client.ts';
import { SecretOnce } from '../../components/secret-once.tsx';
import { Show } from '../../components/states.tsx';
import { toast } from '../../components/toast.tsx';
import { useData } from '../../data/use-data.ts';
import { useSubmit } from '../../data/use-submit.ts';
import { useUrl } from '../../data/use-url.ts';
import { to } from '../../lib/urls.ts';
import { changesOf, draftOf, newSubscriptionOf } from './draft.ts';
import { SubscriptionForm } from './form.tsx';

/** The form of a new subscription. If its secret is generated, it is shown once afterwards. */
export function NewSubscription() {
  const [draft, setDraft] = useState(draftOf());
  const [created, setCreated] = useState<CreateSubscriptionData>();
  const { go } = useUrl();
  const open = ({ id }: { id: number }) => go(to(`subscriptions/${id}`));
  const submit = useSubmit(
    () => createSubscription(newSubscriptionOf(draft)),
    (answer) => {
      if (answer.secret !== undefined) return setCreated(answer);
      toast(answer.warning ?? 'Created.');
      open(answer);
    },
  );
  return (
    <>
      <p class="path">
        <a href={to('subscriptions')}>Subscriptions</a> / new
      </p>
      <div class="screen-head">
        <h1>New subscription</h1>
      </div>
      <SubscriptionForm
        draft={draft}
        onChange={setDraft}
        submit={submit}
        isNew
        action="Create"
        cancel={to('subscriptions')}
      />
      {created?.secret !== undefined && (
        <SecretOnce
          title={`Subscription ${created.id} is created`}
          secret={created.secret}
          what="the secret"
          onClose={() => open(created)}
        >
          <p>The receiver verifies its deliveries with this secret.</p>
        </SecretOnce>
      )}
    </>
  );
}

/** The form of a subscription that there is. */
export function EditSubscription() {
  const { params } = useRoute();
  const id = Number(params.subscription_id);
  const loaded = useData((signal) => getSubscription(id, {}, { signal }), [id]);
  return (
    <>
      <p class="path">
        <a href={to('subscriptions')}>Subscriptions</a> /{' '}
        <a href={to(`subscriptions/${id}`)}>{params.subscription_id}</a> / edit
      </p>
      <div class="screen-head">
        <h1>Edit subscription {params.subscription_id}</h1>
      </div>
      <Show loaded={loaded}>{(subscription) => <Edit subscription={subscription} />}</Show>
    </>
  );
}

function Edit({ subscription }: { subscription: Subscription }) {
  const { id } = subscription;
  const [draft, setDraft] = useState(draftOf(subscription));
  const { go } = useUrl();
  const back = to(`subscriptions/${id}`);
  const changes = changesOf(draft, subscription);
  const submit = useSubmit(
    // Only what was changed: what somebody else changes meanwhile stays.
    async () => changes && (await updateSubscription(id, changes)),
    () => {
      toast(changes === undefined ? 'Nothing was changed.' : 'Saved.');
      go(back);
    },
  );
  return (
    <SubscriptionForm
      draft={draft}
      onChange={setDraft}
      submit={submit}
      action="Save"
      cancel={back}
    />
  );
}
