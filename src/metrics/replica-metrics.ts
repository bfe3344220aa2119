import { setTimeout as sleep } from 'node:timers/promises';
import { Counter, Gauge, type Registry } from 'prom-client';
import type { ReplicaState } from '../db/replica.ts';

/** A scrape waits for the replica at most this long. */
const ANSWER_MS = 1_000;
const AWAY: ReplicaState = { ageMs: Number.POSITIVE_INFINITY, readable: false };

/** Adds figures about the replica that reports are read from: see `Metrics.watchReplica`. */
export function watchReplica(
  registry: Registry,
  read: () => Promise<ReplicaState>,
): Counter<'server'> {
  const registers = [registry];
  const latest = () => withinMs(ANSWER_MS, read(), AWAY);
  new Gauge({
    name: 'posthorn_replica_age_seconds',
    help: 'The time since the last commit that the replica of POSTHORN_REPORTING_URL has; missing while it does not answer',
    registers,
    aggregator: 'max',
    async collect() {
      const { ageMs } = await latest();
      if (Number.isFinite(ageMs)) this.set(ageMs / 1_000);
      else this.remove();
    },
  });
  new Gauge({
    name: 'posthorn_replica_up',
    help: 'Whether reports are read from the replica: it answers, and its last commit is at most 30 seconds old',
    registers,
    // Of all processes: one that cannot read it is enough.
    aggregator: 'min',
    async collect() {
      this.set(Number((await latest()).readable));
    },
  });
  const reads = new Counter({
    name: 'posthorn_report_reads_total',
    help: 'Reports that were read from the replica, and from the primary: because the replica was away or too old, or because the request asked for fresh rows (cache-control: no-cache)',
    labelNames: ['server'],
    registers,
  });
  for (const server of ['replica', 'primary']) reads.inc({ server }, 0);
  return reads;
}

async function withinMs<T>(ms: number, answer: Promise<T>, otherwise: T): Promise<T> {
  const enough = new AbortController();
  const late = sleep(ms, otherwise, { signal: enough.signal });
  late.catch(() => {});
  try {
    return await Promise.race([answer, late]);
  } finally {
    enough.abort();
  }
}
