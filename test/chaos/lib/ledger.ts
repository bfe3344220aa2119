import { until } from '../../helpers/until.ts';
import type { Load } from './load.ts';
import type { Postgres } from './postgres.ts';
import type { Receipt, Receiver } from './receiver.ts';
import { type Figures, promised } from './scenario.ts';

/** On a busy machine, a receiver reads the last requests of a process some time after the process has ended. */
const READ_LATE_MS = 2_000;

export interface LedgerOptions {
  /** With `unsure`, what was stored without a 202 is held against it. */
  readonly load: Pick<Load, 'accepted'> & Partial<Pick<Load, 'unsure'>>;
  readonly receiver: Receiver;
  readonly postgres: Pick<Postgres, 'query'>;
  /** Moments at which requests in flight may have lost their outcome. */
  readonly faults: readonly number[];
  /** The longest time that a request may have been in flight before the fault without a recorded outcome. */
  readonly inFlightMs: number;
  /** The earliest time at which another process may have sent something again; without it, that of the fault. */
  readonly sentAgainFrom?: number;
  /** True: every attempt was answered with 200, so no delivery may have two attempts. */
  readonly receiverWasWell?: boolean;
  readonly timeoutMs?: number;
}

/**
 * Waits until everything accepted was received and nothing is owed, and compares: accepted against
 * received, and what `delivery_attempts` says.
 *
 * @throws Broken when anything accepted was lost, a duplicate has no fault to explain it, the
 *   attempts of a delivery are not numbered 1, 2, 3 without gaps, or somebody was told that nothing
 *   was accepted and it was.
 */
export async function settleLedger(options: LedgerOptions): Promise<Figures> {
  const { load, receiver, postgres, receiverWasWell = true } = options;
  let owed = -1;
  await until(
    'nothing is owed',
    async () => {
      const rows = await postgres.query<{ owed: number }>(
        `select count(*)::integer as owed from posthorn.deliveries where state in ('pending', 'held')`,
      );
      owed = rows[0]?.owed ?? -1;
      return owed === 0;
    },
    options.timeoutMs ?? 300_000,
  ).catch(() => {});
  const receipts = receiver.receipts();
  const received = new Set(receipts.map(({ webhookId }) => webhookId));
  const lost = [...load.accepted.keys()].filter((id) => !received.has(id));
  promised(
    lost.length === 0,
    `${lost.length} of ${load.accepted.size} accepted webhooks were not received, such as ${lost[0]}; ${owed} are still owed`,
  );
  promised(owed === 0, `${owed} deliveries are still owed`);

  const { duplicates, unexplained } = judgeDuplicates(receipts, options);
  promised(
    unexplained.length === 0,
    `${unexplained.length} of ${duplicates} duplicates had no fault near them, such as ${unexplained[0]}`,
  );
  await requireHonestAttempts(postgres, receiverWasWell);
  if (load.unsure !== undefined) {
    const [row] = await postgres.query<{ stored: number }>(
      'select count(*)::integer as stored from posthorn.webhook_payloads',
    );
    const untold = (row?.stored ?? 0) - load.accepted.size;
    promised(
      untold <= load.unsure,
      `${untold} webhooks were accepted without a 202, but only ${load.unsure} clients were left in doubt`,
    );
  }
  return { accepted: load.accepted.size, lost: 0, duplicates };
}

/** A duplicate is explained by a fault between its two receipts, shortly after the first. */
function judgeDuplicates(
  receipts: readonly Receipt[],
  {
    faults,
    inFlightMs,
    sentAgainFrom = 0,
  }: Pick<LedgerOptions, 'faults' | 'inFlightMs' | 'sentAgainFrom'>,
): { duplicates: number; unexplained: string[] } {
  const last = new Map<string, number>();
  const unexplained: string[] = [];
  let duplicates = 0;
  for (const { webhookId, at } of receipts) {
    const before = last.get(webhookId);
    last.set(webhookId, at);
    if (before === undefined) continue;
    duplicates += 1;
    const explained = faults.some(
      (fault) =>
        fault - inFlightMs <= before &&
        before <= fault + READ_LATE_MS &&
        at >= Math.max(fault, sentAgainFrom),
    );
    if (!explained) unexplained.push(`${webhookId} at ${before} and ${at}`);
  }
  return { duplicates, unexplained };
}

/** @throws Broken unless attempts are numbered without gaps or doubles, and none was burned. */
export async function requireHonestAttempts(
  postgres: Pick<Postgres, 'query'>,
  receiverWasWell: boolean,
): Promise<void> {
  const [row] = await postgres.query<{ uneven: number; miscounted: number; burned: number }>(`
    with numbered as (
      select webhook_id, subscription_id, count(*) as attempts,
        count(distinct attempt_number) as numbers, min(attempt_number) as least, max(attempt_number) as greatest
      from posthorn.delivery_attempts
      where attempt_number is not null
      group by 1, 2
    )
    select
      count(*) filter (where attempts <> numbers or least <> 1 or greatest <> attempts)::integer as uneven,
      count(*) filter (where d.attempt_count <> coalesce(attempts, 0))::integer as miscounted,
      count(*) filter (where d.attempt_count > 1)::integer as burned
    from posthorn.deliveries d
    left join numbered n using (webhook_id, subscription_id)`);
  promised(
    row?.uneven === 0,
    `${row?.uneven} deliveries have gaps or doubles in their attempt numbers`,
  );
  promised(
    row?.miscounted === 0,
    `${row?.miscounted} deliveries count other attempts than were logged`,
  );
  if (receiverWasWell) {
    promised(
      row?.burned === 0,
      `${row?.burned} deliveries used up an attempt although the receiver was well`,
    );
  }
}
