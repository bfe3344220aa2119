// Measures parts of the service alone, without the rest of it.
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import Fastify from 'fastify';
import { run as runQueue } from 'graphile-worker';
import pg from 'pg';
import { Pool } from 'undici';
import { POOL_PLANS } from '#src/db/planner.ts';
import { createPool } from '#src/db/pool.ts';
import { silentQueueLogger } from '#src/db/queue-logger.ts';
import { parseNetworks } from '#src/http/address-guard.ts';
import { createHttpClient } from '#src/http/http-client.ts';
import { parsePorts } from '#src/http/ports.ts';
import { acceptWebhooks } from '#src/intake/accept.sql.ts';
import { nowMs, serveCommands } from '../lib/processes.ts';

/** Returns webhooks a second through posthorn.accept(), called over two connections with `batch` webhooks each. */
async function intakeFunction(databaseUrl: string, batch: number, bodyBytes: number, ms: number) {
  const pool = createPool({
    connectionString: databaseUrl,
    purpose: 'floor',
    max: 2,
    settings: POOL_PLANS.intake,
  });
  const { rows } = await pool.query(
    `insert into posthorn.subscriptions (url) values ('http://127.0.0.1/') returning id`,
  );
  const body = Buffer.from(JSON.stringify('x'.repeat(bodyBytes - 2)));
  const webhooks = Array.from({ length: batch }, () => ({
    subscriptionId: rows[0].id as number,
    tenant: 'default',
    eventType: null,
    channels: null,
    orderingKey: null,
    dataStart: 0,
    deliverAt: null,
    idempotency: null,
    contentType: 'application/json',
    headers: null,
    body,
  }));
  const startedAt = nowMs();
  let accepted = 0;
  await Promise.all(
    [1, 2].map(async () => {
      while (nowMs() < startedAt + ms) {
        await acceptWebhooks(pool, webhooks, { bulk: false, apart: false });
        accepted += batch;
      }
    }),
  );
  const perSecond = (accepted / (nowMs() - startedAt)) * 1000;
  await pool.end();
  return perSecond;
}

/** Returns jobs a second of a task that does nothing, with the queue tuned as far as possible. */
async function noOpJobs(databaseUrl: string, count: number) {
  const pool = createPool({ connectionString: databaseUrl, purpose: 'floor', max: 10 });
  await pool.query(
    `select count(*) from graphile_worker.add_jobs((
       select array_agg(('noop', json_build_object('n', n), null, null, 25, null, null, null)::graphile_worker.job_spec)
       from generate_series(1, $1) as n))`,
    [count],
  );
  await pool.query('vacuum analyze');
  let left = count;
  const startedAt = nowMs();
  await new Promise<void>((resolve, reject) => {
    runQueue({
      pgPool: pool,
      noHandleSignals: true,
      preset: {
        worker: {
          logger: silentQueueLogger,
          concurrentJobs: 100,
          localQueue: { size: 500 },
          completeJobBatchDelay: 0,
          failJobBatchDelay: 0,
        },
      },
      taskList: {
        noop: async () => {
          left -= 1;
          if (left === 0) resolve();
        },
      },
    }).catch(reject);
  });
  return (count / (nowMs() - startedAt)) * 1000;
}

/** Returns requests a second of the HTTP client of deliveries. */
async function requestsAlone(to: string, bodyBytes: number, connections: number, ms: number) {
  const client = createHttpClient({
    timeoutMs: 15_000,
    allowNetworks: parseNetworks('127.0.0.0/8'),
    denyNetworks: parseNetworks(''),
    allowPorts: parsePorts('*'),
  });
  const url = new URL(to);
  const body = Buffer.alloc(bodyBytes, 'x');
  const { signal } = new AbortController();
  const startedAt = nowMs();
  let done = 0;
  await Promise.all(
    Array.from({ length: connections }, async () => {
      while (nowMs() < startedAt + ms) {
        await client.post({ url, headers: [], body, ownBody: false, signal });
        done += 1;
      }
    }),
  );
  const perSecond = (done / (nowMs() - startedAt)) * 1000;
  await client.close();
  return perSecond;
}

/** Starts a fastify route that reads a body and discards it. Returns its port. */
async function serveNothing(): Promise<number> {
  const app = Fastify({ bodyLimit: 1024 * 1024 });
  app.removeAllContentTypeParsers();
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, async () => null);
  app.post('/', async (_request, reply) => reply.code(202).send({ status: 'accepted' }));
  await app.listen({ host: '127.0.0.1', port: 0 });
  return (app.server.address() as AddressInfo).port;
}

/**
 * Starts a server that does the least that a webhook needs: it commits the bytes, answers 202, and then posts
 * the bytes to the receiver. It checks, signs and records nothing. Returns its port.
 */
async function commitThenPost(databaseUrl: string, to: string): Promise<number> {
  // synchronous_commit is on, as in Posthorn.
  const pool = new pg.Pool({ connectionString: databaseUrl, max: 8, idleTimeoutMillis: 0 });
  await pool.query('create table floor (id bigserial primary key, body bytea not null)');
  const { origin, pathname } = new URL(to);
  const receiver = new Pool(origin, { keepAliveTimeout: 300_000 });
  const server = createServer(async (request, response) => {
    const body = await bodyOf(request);
    await pool.query('insert into floor (body) values ($1)', [body]);
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"accepted"}');
    const answer = await receiver.request({ method: 'POST', path: pathname, body });
    await answer.body.dump();
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

serveCommands({ commitThenPost, intakeFunction, noOpJobs, requestsAlone, serveNothing });
