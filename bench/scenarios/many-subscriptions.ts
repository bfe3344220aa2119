import pg from 'pg';
import {
  alternating,
  type Bench,
  type Measurement,
  type Scenario,
  withSide,
} from '../lib/bench.ts';
import { fillSubscriptions } from '../lib/fill.ts';
import { posthorn, type Running, SECRET } from '../lib/sides.ts';
import { measureWholePathOf, type WholePathOptions } from '../lib/whole-path.ts';

const SCENARIO = 'many subscriptions';
const FEW = 20;
const TENANTS = 10_000;
/** The subscriptions of a tenant, one for each event type. */
const EVENT_TYPES = Array.from({ length: 100 }, (_, nth) => `order.type_${nth + 1}`);

export const manySubscriptions: Scenario = {
  name: SCENARIO,
  what: 'The whole path, spread over 20 subscriptions and over 20,000; and by event type, with 20 subscriptions and with 1,000,000 of 10,000 tenants',
  run: async (bench) => [...(await toEach(bench)), ...(await byEventType(bench))],
};

function toEach(bench: Bench): Promise<Measurement[]> {
  return alternating(
    bench,
    [FEW, bench.quick ? 2_000 : 20_000].map((count) => [
      nameOf(count),
      (round) => measureEach(bench, round, count),
    ]),
  );
}

const nameOf = (count: number) => `${count.toLocaleString('en')} subscriptions`;

async function measureEach(bench: Bench, round: number, count: number): Promise<Measurement> {
  return await withSide(bench, posthorn, {}, async (running) => {
    const client = new pg.Client({ connectionString: running.databaseUrl });
    await client.connect();
    const { rows } = await client.query<{ id: number }>(
      `insert into posthorn.subscriptions (url, secret, event_types)
       select $1, $2, '{}' from generate_series(1, $3)
       returning id`,
      [bench.receiverUrl('/ok'), SECRET, count],
    );
    await client.end();
    const paths = rows.map(({ id }) => `/ingest/${id}`);
    return await measureWarm(bench, running, paths, round, nameOf(count));
  });
}

/** Measures a second pass, because the first one fills the caches. */
async function measureWarm(
  bench: Bench,
  running: Running,
  paths: readonly string[],
  round: number,
  as: string,
  load: WholePathOptions['load'] = {},
): Promise<Measurement> {
  const options = { scenario: SCENARIO, as, load };
  await measureWholePathOf(bench, running, paths, round, options);
  return await measureWholePathOf(bench, running, paths, round, options);
}

/** Measures two services in turn. The million subscriptions are filled in once. */
async function byEventType(bench: Bench): Promise<Measurement[]> {
  const tenants = bench.quick ? TENANTS / 50 : TENANTS;
  const [firstType] = EVENT_TYPES as [string];
  return await withSide(bench, posthorn, {}, async (few) => {
    const fewPaths = await fill(bench, few, FEW, [firstType]);
    return await withSide(bench, posthorn, {}, async (million) => {
      bench.say('filling the subscriptions');
      const millionPaths = await fill(bench, million, tenants, EVENT_TYPES);
      const side = (
        running: Running,
        paths: readonly string[],
        count: number,
        eventTypes: readonly string[],
      ) => {
        const name = `by type, ${nameOf(count)}`;
        return [
          name,
          (round: number) => measureWarm(bench, running, paths, round, name, { eventTypes }),
        ] as const;
      };
      return await alternating(bench, [
        side(few, fewPaths, FEW, [firstType]),
        side(million, millionPaths, tenants * EVENT_TYPES.length, EVENT_TYPES),
      ]);
    });
  });
}

/** Returns the paths for sending to each of the tenants. */
async function fill(
  bench: Bench,
  { databaseUrl }: Running,
  tenants: number,
  eventTypes: readonly string[],
): Promise<string[]> {
  const names = Array.from({ length: tenants }, (_, nth) => `tenant-${nth}`);
  const subscription = { url: bench.receiverUrl('/ok'), secret: SECRET };
  await fillSubscriptions(databaseUrl, subscription, names, eventTypes);
  return names.map((name) => `/v1/webhooks?tenant=${name}`);
}
