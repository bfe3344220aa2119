import { type GetSubscriptionData, getPublicKey } from '../../api/client.ts';
import { CopyButton } from '../../components/copy-button.tsx';
import { Show } from '../../components/states.tsx';
import { Time } from '../../components/time.tsx';
import { useData } from '../../data/use-data.ts';
import { useUrl } from '../../data/use-url.ts';
import { may } from '../../session.ts';
import { Row, unset } from './configuration.tsx';

/** How deliveries are signed, and how the source of /ingest is verified. Secrets are never shown. */
export function Signing({ subscription: s }: { subscription: GetSubscriptionData }) {
  const { link } = useUrl();
  return (
    <section class="section">
      <div class="section-head">
        <h2>Signatures</h2>
        {may('manage') && (
          <a class="button small" href={link({ do: 'rotate' })}>
            {s.has_secret ? 'Rotate the secret' : 'Set a secret'}
          </a>
        )}
      </div>
      <dl class="settings panel">
        <Row name="Scheme">{s.signature_scheme}</Row>
        <Row name="Secret">
          {s.has_secret ? 'set' : unset('none: deliveries are not signed')}
          {s.secret_overlap_until !== null && (
            <span class="second">
              the one before signs too until <Time at={s.secret_overlap_until} />
            </span>
          )}
        </Row>
        {s.signature_scheme === 'ed25519' && s.has_secret && <PublicKeyRow id={s.id} />}
        <Row name="Additional header">
          {s.signature_header === null ? (
            unset('none')
          ) : (
            <>
              <code>
                {s.signature_header}: {s.signature_template ?? '{hex}'}
              </code>
              <span class="second">
                of <code>{s.signature_content ?? '{body}'}</code>
              </span>
            </>
          )}
        </Row>
        <Row name="Source at /ingest">
          {s.verify === null
            ? unset('verified with the secret above, if there is one')
            : `verified as ${s.verify.scheme}`}
        </Row>
      </dl>
    </section>
  );
}

function PublicKeyRow({ id }: { id: number }) {
  const keys = useData((signal) => getPublicKey(id, {}, { signal }), [id]);
  return (
    <Row name="Public key">
      <Show loaded={keys}>
        {({ public_key }) => (
          <span class="copied">
            <code>{public_key}</code>
            <CopyButton text={public_key} what="the public key" />
          </span>
        )}
      </Show>
    </Row>
  );
}
