// Subscriptions for people: they get Posthorn's notices, on Slack or as e-mail, and nothing else. See docs/notices.md.
import { PolicyError } from './policy.ts';

export const FORMATS = ['webhook', 'notice'] as const;
export type Format = (typeof FORMATS)[number];

/** As in schema/functions/send_notices.sql. Webhooks that applications send cannot have an event type of Posthorn. */
const NOTICE_CHANNELS = ['posthorn.notices'];
const DEFAULT_TYPES = ['posthorn.*'];
const OWN_TYPE = /^posthorn\./;
/** The addresses that need no quoting (RFC 5322, dot-atom), without a second recipient and without parameters. */
const MAILTO =
  /^mailto:[a-z0-9!#$&'*+/=^_`{|}~-]+(?:\.[a-z0-9!#$&'*+/=^_`{|}~-]+)*@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/i;
const MAX_MAILTO = 300;

export function isMailto(url: string): boolean {
  return /^mailto:/i.test(url.trim());
}

/** Returns why mail cannot be sent to a `mailto:` URL, or null. */
export function mailtoProblem(url: string, hasMailServer: boolean): string | null {
  if (!hasMailServer)
    return 'no mail server is set; start Posthorn with POSTHORN_SMTP_URL and POSTHORN_MAIL_FROM';
  if (url.length > MAX_MAILTO || !MAILTO.test(url))
    return 'it is not one address without parameters, such as mailto:ops@example.com';
  return null;
}

interface NoticeFields {
  readonly url?: string | null | undefined;
  readonly format?: Format | undefined;
  readonly event_types?: readonly string[] | null | undefined;
  readonly channels?: readonly string[] | null | undefined;
}

/**
 * Returns the columns of a new subscription for notices; of any other, none.
 *
 * @throws PolicyError naming the field that a subscription of this format cannot have.
 */
export function noticeColumns(given: NoticeFields) {
  const url = given.url ?? '';
  const { format = isMailto(url) ? 'notice' : 'webhook' } = given;
  if (format === 'webhook') {
    if (isMailto(url))
      throw new PolicyError('format', 'must be notice if the URL is mailto:, or be left out');
    return {};
  }
  const types = given.event_types ?? DEFAULT_TYPES;
  const channels = given.channels ?? null;
  requireOwnTypes(types);
  if (channels !== null)
    throw new PolicyError('channels', 'cannot be chosen for notices; leave this out');
  return { format, event_types: [...types], channels: [...NOTICE_CHANNELS] };
}

/** @throws PolicyError for event types that are not Posthorn's. */
export function requireOwnTypes(types: readonly string[]): void {
  const other = types.findIndex((type) => !OWN_TYPE.test(type));
  if (other !== -1)
    throw new PolicyError(
      `event_types.${other}`,
      'must begin with posthorn. because notices are about subscriptions, such as posthorn.subscription.disabled',
    );
}
