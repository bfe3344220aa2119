import type pg from 'pg';
import type { Settings } from '../config/settings.ts';
import { judgeUrl } from '../http/address-guard.ts';
import { judgeSecret } from '../signing/sign.ts';
import { judgeVerification } from '../signing/verify/schemes.ts';
import { filterProblem } from '../subscriptions/filter.ts';
import { type IngestColumns, ingestColumns } from '../subscriptions/ingest.ts';
import { isMailto, mailtoProblem } from '../subscriptions/notices.ts';
import { type Policy, PolicyError, policyColumns } from '../subscriptions/policy.ts';
import { type SigningColumns, signingColumns } from '../subscriptions/signing.ts';
import type { SubscriptionFields } from '../subscriptions/store.ts';
import { invalidField } from './problems.ts';

/** The fields of a subscription in a request, after schema validation. */
type Given = Partial<Omit<SubscriptionFields, keyof Policy> & Policy>;

/**
 * Creates the check of a subscription's fields beyond schema validation.
 *
 * @returns a function that returns the fields as they are stored, or throws a Problem (400) naming the
 *   field.
 */
export function createSubscriptionJudge(settings: Settings) {
  function judge(given: Given & { url: string | null }): SubscriptionFields;
  function judge(given: Given): Partial<SubscriptionFields>;
  function judge(given: Given): Partial<SubscriptionFields> {
    const { url, format, secret, event_types, channels, filter, description, metadata } = given;
    const urlProblem =
      url === undefined || url === null
        ? null
        : format === 'notice' && isMailto(url)
          ? mailtoProblem(url, settings.mail !== undefined)
          : judgeUrl(url, settings);
    if (urlProblem !== null)
      throw invalidField('body.url', `cannot be delivered to: ${urlProblem}.`);
    const secretProblem = secret === undefined || secret === null ? null : judgeSecret(secret);
    if (secretProblem !== null)
      throw invalidField('body.secret', `cannot be used: ${secretProblem}.`);
    const { verify } = given;
    const verifyProblem =
      verify === undefined || verify === null ? null : judgeVerification(verify);
    if (verifyProblem !== null)
      throw invalidField(`body.verify.${verifyProblem.field}`, `${verifyProblem.problem}.`);
    return {
      ...(url === undefined ? {} : { url: url === null ? null : spellUrl(url) }),
      ...(format === undefined ? {} : { format }),
      secret,
      verify,
      event_types,
      channels,
      filter,
      description,
      metadata,
      ...judgePolicy(given),
    } as Partial<SubscriptionFields>;
  }
  return judge;
}

/**
 * Creates the check of filters. It asks the database, which compiles JSON paths.
 *
 * @param field names the filter in the Problem.
 * @returns a function that throws a Problem (400) for a filter that cannot be used.
 */
export function createFilterCheck(pool: pg.Pool, field = 'body.filter') {
  return async (filter: string | null | undefined): Promise<void> => {
    if (filter === undefined || filter === null) return;
    const problem = await filterProblem(pool, filter);
    if (problem !== null) throw invalidField(field, `cannot be used: ${problem}.`);
  };
}

function judgePolicy(given: Partial<Policy> & Partial<SigningColumns> & Partial<IngestColumns>) {
  try {
    return { ...policyColumns(given), ...signingColumns(given), ...ingestColumns(given) };
  } catch (error) {
    if (!(error instanceof PolicyError)) throw error;
    throw invalidField(`body.${error.field}`, `cannot be used: ${error.message}.`);
  }
}

/** Writes equal URLs the same way, as the URL standard does; but an origin without a slash stays so. */
function spellUrl(text: string): string {
  const { href } = new URL(text);
  return href === `${text}/` ? text : href;
}
