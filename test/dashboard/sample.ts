// A service with things to see: for the pictures of the screens.
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import pg from 'pg';
import { pino } from 'pino';
import { startService } from '../../src/app/service.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { until } from '../helpers/until.ts';
import { setUpSample } from './sample-setup.ts';

export interface Sample {
  readonly url: string;
  /** Webhooks by what happened to them. */
  readonly webhooks: { readonly retried: string };
  stop(): Promise<void>;
}

const EVENT_TYPES = ['order.created', 'order.paid', 'invoice.finalized', 'customer.updated'];

/** Starts a service on a database, with subscriptions that do well, fail, wait and are paused, and an hour of counts. */
export async function startSample(databaseUrl: string): Promise<Sample> {
  const receivers = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://any');
    request.resume();
    if (pathname === '/broken')
      setTimeout(() => {
        response.writeHead(503).write('Service Unavailable: ');
        setTimeout(() => response.end('deploying'), 30);
      }, 120);
    else if (pathname === '/flaky' && Math.random() < 0.5)
      response.writeHead(500).end('{"error":"deadlock detected"}');
    else setTimeout(() => response.end('ok'), 45);
  });
  await new Promise<void>((resolve) => receivers.listen(0, '127.0.0.1', resolve));
  const at = (path: string) =>
    `http://127.0.0.1:${(receivers.address() as AddressInfo).port}${path}`;
  const settings = loadSettings(
    {
      PORT: '0',
      DATABASE_URL: databaseUrl,
      POSTHORN_PUBLIC_CATALOGUE: '*',
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8',
      POSTHORN_RETRY_SCHEDULE: '1s,2s,15m,1h,6h',
    },
    import.meta.dirname,
  );
  const service = await startService(settings, pino({ level: 'silent' }));

  async function request(method: string, path: string, body?: object) {
    const response = await fetch(new URL(path, service.url), {
      method,
      headers: { 'content-type': 'application/json' },
      body: body === undefined ? null : JSON.stringify(body),
    });
    // biome-ignore lint/suspicious/noExplicitAny: answers whose shape the API promises
    const answer = (await response.json()) as any;
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }
  const subscribe = async (path: string, description: string, event_types: string[]) =>
    (await request('POST', '/v1/subscriptions', { url: at(path), description, event_types })).id;
  const send = async (event_type: string, n: number) =>
    (
      await request('POST', '/v1/webhooks', {
        event_type,
        data: {
          order: 4_100 + n,
          customer: { id: `c_${70 + n}`, email: 'ada@example.com' },
          lines: [
            { sku: 'HORN-1', quantity: 2, price: '149.00' },
            { sku: 'BAG-7', quantity: 1, price: '39.50' },
          ],
          total: 337.5,
          test: false,
        },
      })
    ).webhook_id;

  const shop = await subscribe('/shop', 'The shop', ['order.*']);
  await subscribe('/flaky', 'Accounting', ['invoice.*', 'order.paid']);
  await subscribe('/broken', 'The warehouse', ['order.created']);
  const paused = await subscribe('/crm', 'The CRM', ['customer.*']);
  await request('POST', `/v1/subscriptions/${paused}/pause`, { reason: 'Moves to a new server' });
  const retried = await send('order.created', 0);
  for (let n = 1; n <= 40; n += 1) await send(EVENT_TYPES[n % EVENT_TYPES.length] ?? '', n);
  await until('a delivery has failed three times', async () => {
    const { deliveries } = await request('GET', `/v1/webhooks/${retried}`);
    return deliveries.some(({ attempts_made }: { attempts_made: number }) => attempts_made >= 3);
  });

  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  await client.query(COUNTS);
  await setUpSample(request, client, shop);
  await client.end();
  return {
    url: service.url,
    webhooks: { retried },
    async stop() {
      await service.stop();
      receivers.closeAllConnections();
      receivers.close();
    },
  };
}

/** An hour of counts, as if it had been counted. */
const COUNTS = `
  insert into posthorn.counts_by_minute (tenant, minute, accepted, success, failed, timeout, blocked, duration_classes, duration_numbers)
  select 'default', date_trunc('minute', now()) - m * interval '1 minute', n, 0.98 * n, failed, 0, 0, '{6,8,11,12}',
    array[0.55 * n, 0.38 * n, 0.05 * n, failed]::bigint[]
  from generate_series(1, 60) as m,
    lateral (values (420 + 160 * sin(m / 9.0) + 40 * sin(m * 1.7))) as numbers (n),
    lateral (values (0.015 * n * case when m between 18 and 24 then 9 else 1 end)) as failures (failed)
  on conflict do nothing`;
