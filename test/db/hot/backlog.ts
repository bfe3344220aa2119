import { findProbes } from '../../../src/backlog/find-probes.sql.ts';
import {
  endBacklog,
  findHeld,
  findOrphans,
  leaveBacklogs,
  takeBacklogs,
} from '../../../src/backlog/ownership.sql.ts';
import { readHeld } from '../../../src/backlog/read-held.sql.ts';
import { readLastStarts } from '../../../src/deliveries/hold.sql.ts';
import { found, type Hot, type Samples } from './samples.ts';

/** Statements of the rounds and sweeps of backlogs. */
export function ofBacklogs({ held }: Samples): Hot[] {
  return [
    {
      what: 'read pages of backlogs',
      pool: 'backlog',
      rows: 1_000 + 50 * 100,
      run: async (pool) => {
        const pages = await readHeld(pool, [
          { subscriptionId: 1, after: null, most: 1_000, keyed: true },
          ...Array.from({ length: 50 }, (_, n) => ({
            subscriptionId: 2 + n,
            after: held.webhooks[0] as string,
            most: 100,
            keyed: false,
          })),
        ]);
        found(pages, pages.get(1)?.length ?? 0, 1_000);
      },
    },
    {
      what: 'choose probes of backlogs',
      pool: 'backlog',
      rows: 5_000 + 49 * 100,
      run: async (pool) => {
        const probes = await findProbes(
          pool,
          Array.from({ length: 50 }, (_, n) => ({ subscriptionId: 1 + n, strict: n === 0 })),
        );
        found(probes, probes.size, 50);
      },
    },
    {
      what: 'take backlogs',
      pool: 'backlog',
      rows: 60,
      run: async (pool) => {
        const ids = Array.from({ length: 60 }, (_, n) => n + 1);
        const { taken } = await takeBacklogs(pool, 'a test', ids);
        found(taken, taken.length, 50);
        await findOrphans(pool, 100);
        await endBacklog(pool, 'a test', 1);
        await leaveBacklogs(pool, 'a test', ids, false);
      },
    },
    {
      what: 'find subscriptions with held deliveries',
      pool: 'backlog',
      rows: 51,
      run: async (pool) => {
        const { subscriptionIds } = await findHeld(pool, 0, true);
        found(subscriptionIds, subscriptionIds.length, 51);
      },
    },
    {
      what: 'read the last attempts of subscriptions',
      pool: 'backlog',
      rows: 50,
      run: async (pool) => {
        const starts = await readLastStarts(
          pool,
          Array.from({ length: 50 }, (_, n) => 101 + n),
        );
        found(starts, starts.size, 50);
      },
    },
  ];
}
