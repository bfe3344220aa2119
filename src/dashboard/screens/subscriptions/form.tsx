import { FormError } from '../../components/field.tsx';
import type { Submit } from '../../data/use-submit.ts';
import type { Draft } from './draft.ts';
import { DeliveryFields } from './form-delivery.tsx';
import { AboutFields, SelectionFields } from './form-selection.tsx';
import { SecretFields, SignatureFields, SourceFields } from './form-signing.tsx';

/** What each part of the form gets. */
export interface PartProps {
  readonly draft: Draft;
  readonly change: (change: Partial<Draft>) => void;
  readonly error: Submit['error'];
  /**
   * Returns what a field for a text of the draft gets.
   *
   * @param name the name of the field in the API; left out: that in the draft.
   */
  readonly textField: (
    key: TextOfDraft,
    name?: string,
  ) => {
    readonly name: string;
    readonly error: Submit['error'];
    readonly value: string;
    readonly onChange: (value: string) => void;
  };
}

type TextOfDraft = {
  [Key in keyof Draft]: string extends Draft[Key] ? Key : never;
}[keyof Draft];

interface FormProps {
  readonly draft: Draft;
  readonly onChange: (draft: Draft) => void;
  readonly submit: Submit;
  /** It also asks for the secret, which is changed by rotating later. */
  readonly isNew?: boolean;
  readonly action: string;
  /** Where the form leads without saving. */
  readonly cancel: string;
}

/** The names of the fields, by which the API says what is wrong with each. */
const FIELDS = [
  'url',
  'expire_after',
  'format',
  'description',
  'event_types',
  'channels',
  'filter',
  'retry_schedule',
  'timeout',
  'rate_limit',
  'max_in_flight',
  'ordering',
  'headers',
  'metadata',
  'secret',
  'signature_header',
  'signature_template',
  'signature_content',
  'verify',
  'forward_headers',
  'ingest_content_types',
];

/** All fields of a subscription. What many need stands first; the rest is folded up. */
export function SubscriptionForm({
  draft,
  onChange,
  submit,
  isNew = false,
  action,
  cancel,
}: FormProps) {
  const { onSubmit, busy, error } = submit;
  const change: PartProps['change'] = (change) => onChange({ ...draft, ...change });
  const textField: PartProps['textField'] = (key, name = key) => ({
    name,
    error,
    value: draft[key],
    onChange: (value) => change({ [key]: value }),
  });
  const part: PartProps = { draft, change, error, textField };
  return (
    <form class="form" onSubmit={onSubmit} noValidate>
      <AboutFields {...part} isNew={isNew} />
      {draft.format === 'webhook' && <SelectionFields {...part} />}
      {isNew && draft.format === 'webhook' && <SecretFields {...part} />}
      <DeliveryFields {...part} />
      {draft.format === 'webhook' && (
        <>
          <SignatureFields {...part} />
          <SourceFields {...part} />
        </>
      )}
      <FormError error={error} fields={FIELDS} />
      <div class="buttons form-end">
        <button type="submit" class="button primary" disabled={busy} aria-busy={busy}>
          {action}
        </button>
        <a class="button plain" href={cancel}>
          Cancel
        </a>
      </div>
    </form>
  );
}
