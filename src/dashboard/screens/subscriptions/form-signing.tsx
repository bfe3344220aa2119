import { SelectField, TextField } from '../../components/text-field.tsx';
import type { DraftList } from './draft.ts';
import type { PartProps } from './form.tsx';

/** The secret of a new subscription. */
export function SecretFields({ draft, change, error, textField }: PartProps) {
  return (
    <fieldset class="part">
      <legend>Secret</legend>
      <SelectField
        label="Deliveries are signed with"
        name="signature_scheme"
        error={error}
        value={draft.secret_kind}
        onChange={(kind) => change({ secret_kind: kind as typeof draft.secret_kind })}
        choices={{
          generate: 'A secret that Posthorn generates and shows once',
          own: 'A secret that you give',
          ed25519: 'An Ed25519 key pair: the receiver gets the public key',
          none: 'Nothing: they are not signed',
        }}
      />
      {draft.secret_kind === 'own' && (
        <TextField
          label="Secret"
          {...textField('secret')}
          type="password"
          hint="Any text, or whsec_ and 24 to 64 bytes in base64. It is never shown again."
        />
      )}
    </fieldset>
  );
}

/** A signature header in addition to those of Standard Webhooks. */
export function SignatureFields({ draft, error, textField }: PartProps) {
  return (
    <details class="part" open={draft.signature_header !== '' || isAbout(error, 'signature_')}>
      <summary>Additional signature header</summary>
      <p class="hint">For a receiver that was built for another sender.</p>
      <TextField
        label="Header"
        {...textField('signature_header')}
        placeholder="X-Acme-Signature"
        code
      />
      <div class="row">
        <TextField
          label="Its value"
          {...textField('signature_template')}
          hint="With {hex} or {base64}, {timestamp}, {id}."
          placeholder="{hex}"
          code
        />
        <TextField
          label="What is signed"
          {...textField('signature_content')}
          hint="With {body}, {timestamp}, {id}."
          placeholder="{body}"
          code
        />
      </div>
    </details>
  );
}

const SCHEMES = {
  '': 'None: X-Hub-Signature-256 with the secret, if there is one',
  github: 'GitHub',
  stripe: 'Stripe',
  shopify: 'Shopify',
  slack: 'Slack',
  'standard-webhooks': 'Standard Webhooks',
  hmac: 'Another HMAC',
};

/** How the source that hands webhooks in by /ingest signs them, and what is taken from it. */
export function SourceFields({ draft, change, error, textField }: PartProps) {
  const isOpen =
    draft.verify_scheme !== '' ||
    draft.forward_headers.kind !== 'unset' ||
    draft.ingest_content_types.kind !== 'unset' ||
    isAbout(error, 'verify', 'forward_headers', 'ingest_content_types');
  return (
    <details class="part" open={isOpen}>
      <summary>Source of /ingest</summary>
      <p class="hint">
        For webhooks that another service hands in at /ingest, which are passed on to this receiver.
      </p>
      <SelectField
        label="How the source signs"
        {...textField('verify_scheme', 'verify.scheme')}
        choices={SCHEMES}
      />
      {draft.verify_scheme === 'hmac' && (
        <>
          <div class="row">
            <TextField
              label="Header with the signature"
              {...textField('verify_header', 'verify.header')}
              placeholder="X-Signature"
              code
            />
            <TextField
              label="Text before it"
              {...textField('verify_prefix', 'verify.prefix')}
              placeholder="sha256="
              code
            />
          </div>
          <div class="row">
            <SelectField
              label="Algorithm"
              {...textField('verify_algorithm', 'verify.algorithm')}
              choices={{ sha256: 'sha256', sha512: 'sha512', sha1: 'sha1' }}
            />
            <SelectField
              label="Encoding"
              {...textField('verify_encoding', 'verify.encoding')}
              choices={{ hex: 'hex', base64: 'base64' }}
            />
          </div>
        </>
      )}
      {draft.verify_scheme !== '' && (
        <TextField
          label="Secret of the source"
          {...textField('verify_secret', 'verify.secret')}
          type="password"
          hint="It is never shown. To change how the source signs, give it again."
        />
      )}
      <ListField
        label="Headers of the source that are sent on"
        name="forward_headers"
        unset="Those of the source, such as X-GitHub-Event"
        none="None"
        error={error}
        list={draft.forward_headers}
        onChange={(forward_headers) => change({ forward_headers })}
      />
      <ListField
        label="Content types besides JSON"
        name="ingest_content_types"
        unset="Those of the source, such as forms for GitHub and Slack"
        none="None: only JSON"
        error={error}
        list={draft.ingest_content_types}
        onChange={(ingest_content_types) => change({ ingest_content_types })}
      />
    </details>
  );
}

interface ListFieldProps {
  readonly label: string;
  readonly name: string;
  /** What applies if the list is unset, and if it is empty. */
  readonly unset: string;
  readonly none: string;
  readonly error: PartProps['error'];
  readonly list: DraftList;
  readonly onChange: (list: DraftList) => void;
}

function ListField({ label, name, unset, none, error, list, onChange }: ListFieldProps) {
  return (
    <>
      <SelectField
        label={label}
        name={name}
        error={list.kind === 'some' ? undefined : error}
        value={list.kind}
        onChange={(kind) => onChange({ ...list, kind: kind as DraftList['kind'] })}
        choices={{ unset, some: 'Only these', none }}
      />
      {list.kind === 'some' && (
        <TextField
          label="These"
          name={name}
          hint="One a line."
          rows={2}
          code
          error={error}
          value={list.text}
          onChange={(text) => onChange({ ...list, text })}
        />
      )}
    </>
  );
}

function isAbout(error: PartProps['error'], ...starts: string[]): boolean {
  return Object.keys(error?.fields ?? {}).some((field) =>
    starts.some((start) => field.startsWith(start)),
  );
}
