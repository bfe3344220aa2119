import type { FastifyRequest } from 'fastify';
import { type Format, isMailto, noticeColumns, requireOwnTypes } from '../subscriptions/notices.ts';
import { PolicyError } from '../subscriptions/policy.ts';
import { missingScope } from './plugins/auth.ts';
import { invalidField, Problem } from './problems.ts';

interface Given {
  readonly url?: string | null;
  readonly format?: Format;
  readonly event_types?: string[] | null;
  readonly channels?: string[] | null;
}

/**
 * Requires the scope `admin` for an address of e-mail: mail is sent in the name of the operator, to somebody who has not
 * agreed to it.
 *
 * @throws Problem (403)
 */
export function requireMailRight({ access }: FastifyRequest, url: string | null | undefined): void {
  if (url === undefined || url === null || !isMailto(url)) return;
  if (access !== null && !access.allowed.has('admin')) throw missingScope('admin');
}

/** Returns the fields that a new subscription for notices has. @throws Problem (400) naming a field. */
export function noticeFields(given: Given) {
  return named(() => noticeColumns(given));
}

/** Requires that a change fits to the format of the subscription. @throws Problem (400) naming a field. */
export function requireFitting(format: Format, { url, event_types, channels }: Given): void {
  if (format === 'webhook') {
    if (url !== undefined && url !== null && isMailto(url))
      throw invalidField('body.url', 'cannot be mailto: here; create a subscription for notices');
    return;
  }
  if (channels !== undefined)
    throw invalidField('body.channels', 'cannot be chosen for notices; leave this out');
  if (event_types === null)
    throw invalidField('body.event_types', 'cannot be null for notices; list types of Posthorn');
  if (event_types !== undefined) named(() => requireOwnTypes(event_types));
}

/** Requires that the subscription takes webhooks of applications. @throws Problem (409) */
export function requireWebhookFormat({
  id,
  format,
}: {
  readonly id: number;
  readonly format: Format;
}): void {
  if (format === 'notice')
    throw new Problem(
      'conflict',
      `The subscription ${id} gets notices of Posthorn only; send to another subscription.`,
    );
}

function named<T>(work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw invalidField(`body.${error.field}`, error.message);
  }
}
