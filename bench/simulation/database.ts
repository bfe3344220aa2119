import pg from 'pg';
import type { CircuitTimes } from '../../src/health/circuits.sql.ts';
import { reportAnswer, reportFailure, reportSuccess } from './circuit-rules.ts';
import type { SimulatedClock } from './clock.ts';
import type { Random } from './random.ts';
import type { Delivery, Store } from './store.ts';

/** What a statement takes: *measured* means in docs/performance.md are 0.1 to 3 ms. */
const STATEMENT_MS = 2;
/** The oldest held deliveries among which find-probes.sql.ts chooses. */
const PROBE_CANDIDATES = 100;
export const BODY = Buffer.from('{"simulated":true}');

type Row = object | readonly unknown[];
type Statement = (values: readonly unknown[]) => Row[];

export interface DatabaseOptions {
  readonly clock: SimulatedClock;
  readonly store: Store;
  readonly random: Random;
  /** Called with the subscription whose circuit a report has opened. */
  readonly onOpened: (subscriptionId: number) => void;
}

/** Creates a pool that answers the named statements of the code that is simulated, from the store. */
export function createDatabase(options: DatabaseOptions): pg.Pool {
  const statements = statementsOf(options);
  const pool = new pg.Pool();
  const query = ({ name, values = [] }: pg.QueryConfig) => {
    const statement = statements[name?.split(' ')[0] ?? ''];
    if (statement === undefined) throw new Error(`the simulation has no statement ${name}`);
    return new Promise((resolve) => {
      options.clock.after(STATEMENT_MS, () => {
        const rows = statement(values);
        resolve({ rows, rowCount: rows.length });
      });
    });
  };
  return Object.assign(pool, { query });
}

function statementsOf({
  clock,
  store,
  random,
  onOpened,
}: DatabaseOptions): Record<string, Statement> {
  const { deliveries, subscriptions, circuits } = store;
  const heldOf = (id: number) => subscriptions.get(id)?.held;
  const payloadOf = (id: unknown) => {
    const { subscriptionId = 0 } = deliveries.get(id as string) ?? {};
    const { tenant = '' } = subscriptions.get(subscriptionId) ?? {};
    return [id, tenant, 'application/json', null, String(BODY.length), BODY, null];
  };
  const inState = (state: Delivery['state']) => (values: readonly unknown[]) =>
    wordsOf(values[0]).flatMap((id) => {
      const found = deliveries.get(id);
      return found?.state === state ? [rowOf(found, clock.now)] : [];
    });
  const closing = (report: typeof reportSuccess) => (values: readonly unknown[]) =>
    wordsOf(values[0]).map((word) => {
      let closed = false;
      store.changeCircuit(Number(word), (rows) => {
        closed = report(rows, Number(word));
      });
      return { id: Number(word), closed };
    });

  return {
    // Everything is in one partition.
    'live-history': () => [{ from: null, below: null }],
    'other-live-days': () => [],
    'load-held': inState('held'),
    'load-pending': inState('pending'),
    'load-one': ([id]) => {
      const found = deliveries.get(id as string);
      if (found?.state !== 'pending') return [];
      const { attemptCount, probeCount, dueAt } = found;
      const overdueMs = String(clock.now - dueAt);
      return [[String(attemptCount), null, String(probeCount), null, overdueMs, ...payloadOf(id)]];
    },
    'load-payloads': ([ids]) => wordsOf(ids).map(payloadOf),
    hold: ([webhooks, , attempts]) => {
      const counts = wordsOf(attempts);
      for (const [n, id] of wordsOf(webhooks).entries()) store.hold(id, Number(counts[n]));
      return [];
    },
    'read-held': ([ids, after, most]) => {
      const [afterOf, mostOf] = [wordsOf(after), wordsOf(most)];
      const settledTo = 'ffffffff-ffff-7fff-bfff-ffffffffffff';
      return wordsOf(ids).map((word, n) => {
        const from = afterOf[n] === 'NULL' ? null : (afterOf[n] as string);
        const found = heldOf(Number(word))?.after(from, Number(mostOf[n])) ?? [];
        return {
          subscription_id: Number(word),
          settled_to: settledTo,
          page: Buffer.concat(
            found.map((id) => pageRowOf(id, (deliveries.get(id) as Delivery).dueAt - clock.now)),
          ),
        };
      });
    },
    'find-probes': ([ids]) =>
      wordsOf(ids).flatMap((word) => {
        const due = (heldOf(Number(word))?.after(null, PROBE_CANDIDATES) ?? [])
          .map((id) => deliveries.get(id) as Delivery)
          .filter(({ dueAt }) => dueAt <= clock.now);
        const [probe] = due.toSorted((a, b) => a.probeCount - b.probeCount);
        return probe === undefined ? [] : [{ subscription_id: Number(word), webhook_id: probe.id }];
      }),
    'subscriptions-load': ([ids]) =>
      (ids as number[]).map((id) => {
        const circuit = circuits.get(id);
        const probeAt = circuit?.probeAt ?? null;
        return {
          ...PLAIN,
          id,
          tenant: subscriptions.get(id)?.tenant,
          url: `http://${id}.simulated/`,
          max_in_flight: subscriptions.get(id)?.maxInFlight ?? null,
          circuit_open: (circuit?.openedAt ?? null) !== null,
          through_backlog: store.throughBacklog(id),
          failing: circuit !== undefined,
          probe_in_ms: probeAt === null ? null : probeAt - clock.now,
        };
      }),
    'report-failures': (values) => {
      const [ids, failures, since, down, downMs, open, pauses, probes] = values
        .slice(0, 8)
        .map(wordsOf);
      const [openFailures, openOverMs, firstProbeMs, maxProbeMs] = values.slice(11) as number[];
      const times = { openFailures, openOverMs, firstProbeMs, maxProbeMs } as CircuitTimes;
      return (ids ?? []).map((word, n) => {
        const subscriptionId = Number(word);
        const report = {
          subscriptionId,
          failures: Number(failures?.[n]),
          sinceMs: Number(since?.[n]),
          down: Number(down?.[n]),
          downMs: Number(downMs?.[n]),
          open: open?.[n] === 'true',
          pauseMs: pauses?.[n] === 'NULL' ? null : Number(pauses?.[n]),
          probe: probes?.[n] === 'true',
        };
        let opened = false;
        store.changeCircuit(subscriptionId, (rows) => {
          opened = reportFailure(rows, report, times, clock.now, random.next());
        });
        if (opened) onOpened(subscriptionId);
        return { id: subscriptionId, opened, disabled: false };
      });
    },
    'call-report_success': closing(reportSuccess),
    'call-report_answer': closing(reportAnswer),
  };
}

/** The columns in which the subscriptions do not differ. */
const PLAIN = {
  format: 'standard',
  status: 'active',
  secret: null,
  retired_secrets: null,
  verify: null,
  verify_secret: null,
  signature_header: null,
  signature_template: null,
  signature_content: null,
  retry_schedule: null,
  timeout_ms: null,
  headers: null,
  rate_limit: null,
  rate_limit_per_ms: null,
  ordering: 'none',
  forward_headers: null,
  ingest_content_types: null,
};

/** Reads what `plainArray` writes. */
function wordsOf(array: unknown): string[] {
  const text = (array as string).slice(1, -1);
  return text === '' ? [] : text.split(',');
}

function rowOf({ id, subscriptionId, attemptCount, probeCount, dueAt }: Delivery, now: number) {
  return {
    webhook_id: id,
    subscription_id: subscriptionId,
    attempt_count: attemptCount,
    schedule_offset: null,
    probe_count: probeCount,
    handed_to: null,
    overdue_ms: now - dueAt,
  };
}

/** A row of a page, as read-held.sql.ts has it. */
function pageRowOf(id: string, dueInMs: number): Buffer {
  const row = Buffer.alloc(32);
  row.write(id.replaceAll('-', ''), 'hex');
  row.writeDoubleBE(dueInMs, 16);
  return row;
}
