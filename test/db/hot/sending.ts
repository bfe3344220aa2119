import { cancelDeliveries, cancelOne } from '../../../src/deliveries/cancel.sql.ts';
import { cancelDelivery } from '../../../src/deliveries/cancel-delivery.sql.ts';
import { cancelWebhook } from '../../../src/deliveries/cancel-webhook.sql.ts';
import { holdDeliveries } from '../../../src/deliveries/hold.sql.ts';
import { loadOwed, type OwedDelivery } from '../../../src/deliveries/load.sql.ts';
import { readBody, readSizes } from '../../../src/deliveries/payloads.sql.ts';
import { type AttemptResult, recordAttempts } from '../../../src/deliveries/record.sql.ts';
import { daysOf, found, type Hot, type Keys, type Samples } from './samples.ts';

const owedOf = ({ webhooks, subscriptions }: Keys, attemptCount: number): OwedDelivery[] =>
  webhooks.map((webhookId, n) => ({
    webhookId,
    subscriptionId: subscriptions[n] as number,
    tenant: 'default',
    attemptCount,
    scheduleOffset: 0,
    probeCount: 0,
    handedTo: null,
    contentType: 'application/json',
    sourceHeaders: null,
    dueAt: 0,
    bytes: 2,
    body: null,
    ownBody: true,
    problem: null,
  }));

const resultsOf = (keys: Keys, result: Partial<AttemptResult>): AttemptResult[] =>
  owedOf(keys, 1).map(({ webhookId, subscriptionId, attemptCount }) => ({
    webhookId,
    subscriptionId,
    attemptNumber: attemptCount + 1,
    status: 'success',
    responseCode: 200,
    errorCode: null,
    error: null,
    durationMs: 5,
    phases: { dns: null, connect: null, tls: null, firstByte: 1, body: 0 },
    timestamp: 1_760_000_000,
    responseExcerpt: null,
    state: 'succeeded',
    retryInMs: null,
    bytes: 2,
    ...result,
  }));

/** Statements that run for each job, or for each group of attempts. */
export function ofSending({ pending, pendingOfTwoDays, held }: Samples): Hot[] {
  return [
    {
      what: 'load deliveries of a job',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: async (pool) => {
        const owed = await loadOwed(pool, pending);
        found(owed, owed.length, 25);
      },
    },
    {
      what: 'load the delivery of a job',
      pool: 'delivery',
      rows: 1,
      days: daysOf(pending),
      run: async (pool) => {
        const owed = await loadOwed(pool, {
          webhooks: pending.webhooks.slice(0, 1),
          subscriptions: pending.subscriptions.slice(0, 1),
        });
        found(owed, owed.length, 1);
      },
    },
    {
      what: 'load deliveries of two days',
      pool: 'delivery',
      rows: 26,
      days: daysOf(pendingOfTwoDays),
      run: async (pool) => {
        const owed = await loadOwed(pool, pendingOfTwoDays);
        found(owed, owed.length, 25);
      },
    },
    {
      what: 'load held deliveries',
      pool: 'delivery',
      rows: 25,
      days: daysOf(held),
      run: async (pool) => {
        const owed = await loadOwed(pool, held, 'held');
        found(owed, owed.length, 25);
      },
    },
    {
      what: 'read sizes of bodies',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: async (pool) => {
        const sizes = await readSizes(pool, pending.webhooks);
        found(sizes, sizes.size, 25);
      },
    },
    {
      what: 'read a large body',
      pool: 'largeBodies',
      rows: 1,
      days: daysOf(pending),
      run: (pool) => readBody(pool, pending.webhooks[0] as string),
    },
    {
      what: 'record successes',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: async (pool) => {
        const { late } = await recordAttempts(pool, resultsOf(pending, {}));
        found(late, 25 - late, 25);
      },
    },
    {
      what: 'record failures',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: async (pool) => {
        const { late, wakeInMs } = await recordAttempts(
          pool,
          resultsOf(pending, { status: 'failed', state: 'pending', retryInMs: 1_000 }),
        );
        found(late, 25 - late, 25);
        found(wakeInMs, wakeInMs.length, 1);
      },
    },
    {
      what: 'hold deliveries',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: (pool) => holdDeliveries(pool, owedOf(pending, 1)),
    },
    {
      what: 'cancel a delivery',
      pool: 'delivery',
      rows: 1,
      days: daysOf(pending),
      run: (pool) =>
        cancelOne(pool, pending.webhooks[0] as string, pending.subscriptions[0] as number),
    },
    {
      what: 'cancel deliveries',
      pool: 'delivery',
      rows: 25,
      days: daysOf(pending),
      run: async (pool) => void (await cancelDeliveries(pool, pending)),
    },
    {
      what: 'cancel a delivery by request',
      pool: 'general',
      rows: 1,
      days: daysOf(pending),
      run: async (pool) => {
        const [id] = pending.webhooks as [string];
        const [subscription] = pending.subscriptions as [number];
        const { rows } = await pool.query<{ tenant: string }>(
          'select tenant from posthorn.subscriptions where id = $1',
          [subscription],
        );
        const cancelled = await cancelDelivery(pool, rows[0]?.tenant ?? '', id, subscription);
        found(cancelled, Number(cancelled?.cancelled), 1);
      },
    },
    {
      what: 'cancel a webhook',
      pool: 'general',
      rows: 1,
      days: daysOf(pending),
      run: async (pool) => {
        const [id] = pending.webhooks;
        const cancelled = await cancelWebhook(pool, 'default', id as string);
        found(cancelled, cancelled?.cancelled ?? 0, 1);
      },
    },
  ];
}
