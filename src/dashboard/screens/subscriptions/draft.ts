import type {
  CreateSubscriptionPayload,
  Subscription,
  UpdateSubscriptionPayload,
} from '../../api/client.ts';
import { type Pair, pairsOf, recordOf } from '../../components/pairs.tsx';

/** A list of texts that may also be unset, or empty. */
export interface DraftList {
  /** `unset` is null in the API, and `none` an empty list. */
  readonly kind: 'unset' | 'some' | 'none';
  /** One a line, or separated by commas. */
  readonly text: string;
}

/** A subscription as it is typed into the form. */
export interface Draft {
  /** `pull`: its receiver gets its webhooks by requests of its own, and it has no URL. */
  readonly receiver: 'url' | 'pull';
  readonly url: string;
  /** Only if it pulls: after this time without a pull it is deleted. Empty: it stays. */
  readonly expire_after: string;
  /** Only of a new subscription: it cannot be changed. */
  readonly format: Subscription['format'];
  readonly description: string;
  readonly event_types: DraftList;
  readonly channels: string;
  readonly filter: string;
  readonly retry_schedule: string;
  readonly timeout: string;
  readonly rate_limit: string;
  readonly rate_per: string;
  readonly max_in_flight: string;
  readonly ordering: 'none' | 'strict';
  readonly headers: readonly Pair[];
  readonly metadata: readonly Pair[];
  readonly signature_header: string;
  readonly signature_template: string;
  readonly signature_content: string;
  readonly verify_scheme: string;
  readonly verify_header: string;
  readonly verify_algorithm: string;
  readonly verify_encoding: string;
  readonly verify_prefix: string;
  readonly verify_secret: string;
  readonly forward_headers: DraftList;
  readonly ingest_content_types: DraftList;
  /** Only of a new subscription: the others rotate their secret. */
  readonly secret_kind: 'generate' | 'own' | 'ed25519' | 'none';
  readonly secret: string;
}

/** Returns the draft of a subscription, or of a new one. */
export function draftOf(s?: Subscription): Draft {
  return {
    receiver: s?.url === null ? 'pull' : 'url',
    url: s?.url ?? '',
    expire_after: s?.expire_after ?? '',
    format: s?.format ?? 'webhook',
    description: s?.description ?? '',
    event_types: listOf(s?.event_types),
    channels: (s?.channels ?? []).join('\n'),
    filter: s?.filter ?? '',
    retry_schedule: s?.retry_schedule ?? '',
    timeout: s?.timeout ?? '',
    rate_limit: s?.rate_limit ? `${s.rate_limit.limit}` : '',
    rate_per: s?.rate_limit?.per ?? '1s',
    max_in_flight: s?.max_in_flight ? `${s.max_in_flight}` : '',
    ordering: s?.ordering ?? 'none',
    headers: pairsOf(s?.headers ?? null),
    metadata: pairsOf(s?.metadata ?? null),
    signature_header: s?.signature_header ?? '',
    signature_template: s?.signature_template ?? '',
    signature_content: s?.signature_content ?? '',
    verify_scheme: s?.verify?.scheme ?? '',
    verify_header: s?.verify?.header ?? '',
    verify_algorithm: s?.verify?.algorithm ?? 'sha256',
    verify_encoding: s?.verify?.encoding ?? 'hex',
    verify_prefix: s?.verify?.prefix ?? '',
    verify_secret: '',
    forward_headers: listOf(s?.forward_headers),
    ingest_content_types: listOf(s?.ingest_content_types),
    secret_kind: 'generate',
    secret: '',
  };
}

function listOf(values: readonly string[] | null | undefined): DraftList {
  if (values === null || values === undefined) return { kind: 'unset', text: '' };
  return { kind: values.length === 0 ? 'none' : 'some', text: values.join('\n') };
}

type Verify = UpdateSubscriptionPayload['verify'];

/** Returns all fields of a draft as the API takes them. What is wrong with them, the API says. */
export function payloadOf(
  draft: Draft,
): Omit<UpdateSubscriptionPayload, 'url'> & { url: string | null } {
  return {
    url: draft.receiver === 'pull' ? null : draft.url.trim(),
    expire_after: draft.receiver === 'pull' ? textOf(draft.expire_after) : null,
    description: textOf(draft.description),
    event_types: valuesOf(draft.event_types),
    channels: nullIfEmpty(split(draft.channels)),
    filter: textOf(draft.filter),
    retry_schedule: textOf(draft.retry_schedule),
    timeout: textOf(draft.timeout),
    rate_limit:
      draft.rate_limit.trim() === ''
        ? null
        : { limit: Number(draft.rate_limit), per: draft.rate_per.trim() },
    max_in_flight: draft.max_in_flight.trim() === '' ? null : Number(draft.max_in_flight),
    ordering: draft.ordering,
    headers: recordOf(draft.headers),
    metadata: recordOf(draft.metadata),
    signature_header: textOf(draft.signature_header),
    signature_template: textOf(draft.signature_template),
    signature_content: textOf(draft.signature_content),
    verify: verifyOf(draft),
    forward_headers: valuesOf(draft.forward_headers),
    ingest_content_types: valuesOf(draft.ingest_content_types),
  };
}

/** Returns the fields of a draft that differ from the subscription, or undefined if none does. */
export function changesOf(
  draft: Draft,
  subscription: Subscription,
): UpdateSubscriptionPayload | undefined {
  const before = payloadOf(draftOf(subscription));
  const changed = Object.entries(payloadOf(draft)).filter(
    ([name, value]) =>
      JSON.stringify(value) !== JSON.stringify(before[name as keyof typeof before]),
  );
  return changed.length === 0 ? undefined : Object.fromEntries(changed);
}

/** Returns the request that creates a subscription. Fields that are unset are left out. */
export function newSubscriptionOf(draft: Draft): CreateSubscriptionPayload {
  const { url, ...fields } = payloadOf(draft);
  const set = Object.entries(fields).filter(([, value]) => value !== null);
  const isNotice = draft.format === 'notice';
  return {
    url,
    ...(isNotice ? { format: draft.format } : {}),
    ...Object.fromEntries(set),
    ...(isNotice ? {} : secretOf(draft)),
  };
}

function secretOf({ secret_kind, secret }: Draft): Partial<CreateSubscriptionPayload> {
  switch (secret_kind) {
    case 'generate':
      return { generate_secret: true };
    case 'own':
      return { secret };
    case 'ed25519':
      return { signature_scheme: 'ed25519' };
    case 'none':
      return {};
  }
}

function verifyOf(draft: Draft): Verify {
  if (draft.verify_scheme === '') return null;
  const isHmac = draft.verify_scheme === 'hmac';
  return {
    scheme: draft.verify_scheme as NonNullable<Verify>['scheme'],
    ...(isHmac
      ? {
          header: draft.verify_header.trim(),
          algorithm: draft.verify_algorithm as 'sha256',
          encoding: draft.verify_encoding as 'hex',
          ...(draft.verify_prefix === '' ? {} : { prefix: draft.verify_prefix }),
        }
      : {}),
    secret: draft.verify_secret,
  };
}

function valuesOf({ kind, text }: DraftList): string[] | null {
  if (kind === 'unset') return null;
  return kind === 'none' ? [] : split(text);
}

function split(text: string): string[] {
  return text
    .split(/[\n,]/)
    .map((part) => part.trim())
    .filter((part) => part !== '');
}

function textOf(text: string): string | null {
  return text.trim() === '' ? null : text.trim();
}

function nullIfEmpty(values: string[]): string[] | null {
  return values.length === 0 ? null : values;
}
