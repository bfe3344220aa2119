import { useState } from 'preact/hooks';
import { type CreatePortalLinkData, createPortalLink, type Portal } from '../../api/client.ts';
import { Checks } from '../../components/check.tsx';
import { FormDialog } from '../../components/form-dialog.tsx';
import { SecretOnce } from '../../components/secret-once.tsx';
import { SelectField } from '../../components/text-field.tsx';
import { Time } from '../../components/time.tsx';
import { useSubmit } from '../../data/use-submit.ts';

type PortalScreen = Portal['screens'][number];

const SCREENS: Readonly<Record<PortalScreen, string>> = {
  overview: 'Overview',
  webhooks: 'Webhooks',
  subscriptions: 'Subscriptions',
  problems: 'Problems',
  'event-types': 'Event types',
  tasks: 'Bulk operations',
};
const ALL = Object.keys(SCREENS) as PortalScreen[];

/** Creates a link with which a customer of the tenant opens its portal, and shows it once. */
export function PortalLink({ tenant, onClose }: { tenant: string; onClose: () => void }) {
  const [access, setAccess] = useState<Portal['access']>('read');
  const [life, setLife] = useState('1h');
  const [screens, setScreens] = useState<readonly PortalScreen[]>(ALL);
  const [link, setLink] = useState<CreatePortalLinkData>();
  const submit = useSubmit(
    () => createPortalLink(tenant, {}, { access, expires_in: life, screens: [...screens] }),
    setLink,
  );
  if (link !== undefined)
    return (
      <SecretOnce title="The link is created" secret={link.url} what="the link" onClose={onClose}>
        <p>
          It opens the portal once, until <Time at={link.open_until} />. The portal ends at{' '}
          <Time at={link.expires_at} />.
        </p>
      </SecretOnce>
    );
  const { error } = submit;
  return (
    <FormDialog
      title="Link to the portal"
      submit={submit}
      action="Create the link"
      keep="Cancel"
      fields={['access', 'expires_in', 'screens']}
      onClose={onClose}
    >
      <p>Whoever opens the link sees these screens of this tenant, and needs no key.</p>
      <div class="row">
        <SelectField
          label="May"
          name="access"
          error={error}
          value={access}
          onChange={(value) => setAccess(value === 'manage' ? 'manage' : 'read')}
          choices={{ read: 'look at everything', manage: 'also change and retry' }}
        />
        <SelectField
          label="The portal ends after"
          name="expires_in"
          error={error}
          value={life}
          onChange={setLife}
          choices={{ '1h': 'an hour', '8h': '8 hours', '1d': 'a day', '7d': '7 days' }}
        />
      </div>
      <Checks
        label="Screens"
        choices={SCREENS}
        chosen={screens}
        onChange={setScreens}
        error={error?.fields.screens}
      />
    </FormDialog>
  );
}
