// Runs in a thread of its own: see export-partition.ts.
import { parentPort, workerData } from 'node:worker_threads';
import { withArchiveClient } from './archive-client.ts';
import { daysBetween, exportDay } from './export-day.ts';
import type { PartitionExport } from './export-partition.ts';
import type { ArchiveTableName } from './tables.ts';

const DAY_MS = 86_400_000;

/** The tables of the archive. Bodies and answers are not among them, since their retention may be shorter. */
const OF_PARENT = {
  webhook_payloads: 'webhooks',
  deliveries: 'deliveries',
  delivery_attempts: 'attempts',
} as const satisfies Readonly<Record<PartitionExport['parent'], ArchiveTableName>>;

const { databaseUrl, dir, parent, from, until } = workerData as PartitionExport;
const firstDay = new Date(Math.floor(from.getTime() / DAY_MS) * DAY_MS);
await withArchiveClient(databaseUrl, async (client) => {
  for (const day of daysBetween(firstDay, until))
    await exportDay(client, { dir }, OF_PARENT[parent], day);
});
parentPort?.postMessage('exported');
