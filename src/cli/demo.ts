import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Command } from 'commander';
import pg from 'pg';
import { createLog } from '../app/log.ts';
import type { Service } from '../app/service.ts';
import { loadSettings } from '../config/settings.ts';
import { createSigningKey, hubSignature } from '../signing/sign.ts';
import { DEMO_SECRET, type DemoReceiver, planOf, startDemoReceiver } from './demo-receiver.ts';

const WEBHOOKS = 1_000;
const SENDERS = 32;
const GIVE_UP_MS = 50_000;

/** The demo's service retries sooner and waits less than a service in production. */
const DEMO_SETTINGS = {
  PORT: '0',
  HOST: '127.0.0.1',
  POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8',
  POSTHORN_RETRY_SCHEDULE: '300ms,600ms,1200ms',
  POSTHORN_DELIVERY_TIMEOUT: '4s',
  LOG_LEVEL: 'error',
};

/** `posthorn demo`: sends a thousand webhooks to a receiver that misbehaves, and shows how they ended. */
export function demoCommand(): Command {
  return new Command('demo')
    .description('see 1,000 webhooks delivered and retried, in under a minute')
    .option('--keep', 'keep it running afterwards, to look around')
    .addHelpText('after', '\nExamples:\n  $ posthorn demo\n  $ posthorn demo --keep')
    .action(demo);
}

async function demo({ keep = false }: { keep?: boolean }): Promise<void> {
  const { startService } = await import('../app/service.ts');
  const dataDir = join(process.cwd(), '.posthorn-demo');
  // From a folder without a .env file: settings for production do not change the demo.
  const settings = loadSettings(
    { ...DEMO_SETTINGS, POSTHORN_DATA_DIR: dataDir },
    import.meta.dirname,
  );
  say('Starting an embedded Postgres, the service and a receiver that misbehaves …');
  // The listeners are set first: a stop during the start must not leave a database behind.
  const interrupted = new Promise<'interrupted'>((resolve) => {
    process.once('SIGINT', () => resolve('interrupted'));
    process.once('SIGTERM', () => resolve('interrupted'));
  });
  const receiver = await startDemoReceiver();
  try {
    const service = await startService(settings, await createLog(settings));
    try {
      const outcome = await Promise.race([run(service, receiver, keep), interrupted]);
      process.exitCode = outcome === true ? 0 : 1;
      if (outcome !== 'interrupted' && keep) {
        say(`\nStill running: ${service.url}/api/docs/ (Ctrl-C stops it)`);
        await interrupted;
      }
    } finally {
      await service.stop();
    }
  } finally {
    // An open server would keep the process alive after a failed start.
    await receiver.close();
  }
}

/** Returns whether every webhook ended as it should. */
async function run(service: Service, receiver: DemoReceiver, keep: boolean): Promise<boolean> {
  const client = new pg.Client({ connectionString: service.databaseUrl });
  await client.connect();
  try {
    const response = await post(service, '/subscriptions/createsubscription', {
      body: JSON.stringify({ url: receiver.url, secret: DEMO_SECRET }),
    });
    const { id } = (await response.json()) as { id: number };
    const startedAt = Date.now();
    const sent = await send(service, id, (count) => bar('handed in', count));
    const acceptedMs = Date.now() - startedAt;
    await waitUntilEnded(client, id);
    say(
      `\n${WEBHOOKS} webhooks accepted in ${seconds(acceptedMs)}, all ended after ${seconds(Date.now() - startedAt)}.\n`,
    );
    const good = await report(client, receiver, id, sent);
    sayWhereToLook(service, keep);
    return good;
  } finally {
    await client.end();
  }
}

/** Hands the webhooks in, signed. Returns their numbers by id. */
async function send(
  service: Service,
  subscription: number,
  progress: (count: number) => void,
): Promise<Map<string, number>> {
  const key = createSigningKey(DEMO_SECRET);
  const sent = new Map<string, number>();
  let next = 0;
  const sender = async () => {
    for (let n = next++; n < WEBHOOKS; n = next++) {
      const body = JSON.stringify({ type: 'order.created', data: { n, total: (n * 37) % 500 } });
      const response = await post(service, `/ingest/${subscription}`, {
        body,
        headers: { 'x-hub-signature-256': hubSignature(key, Buffer.from(body)) },
      });
      const { webhook_id } = (await response.json()) as { webhook_id: string };
      sent.set(webhook_id, n);
      progress(sent.size);
    }
  };
  await Promise.all(Array.from({ length: SENDERS }, sender));
  return sent;
}

async function post(
  service: Service,
  path: string,
  { body, headers = {} }: { body: string; headers?: Record<string, string> },
): Promise<Response> {
  const response = await fetch(new URL(path, service.url), {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body,
  });
  if (!response.ok)
    throw new Error(`${path} answered ${response.status}: ${await response.text()}`);
  return response;
}

async function waitUntilEnded(client: pg.Client, subscription: number): Promise<void> {
  const deadline = Date.now() + GIVE_UP_MS;
  let ended = 0;
  while (ended < WEBHOOKS && Date.now() < deadline) {
    const { rows } = await client.query<{ ended: number }>(
      'select count(ended_at)::integer as ended from posthorn.deliveries where subscription_id = $1',
      [subscription],
    );
    ended = rows[0]?.ended ?? 0;
    bar('ended    ', ended);
    await sleep(100);
  }
}

interface Outcome {
  webhook_id: string;
  state: string;
  attempts: number;
  total_ms: number;
}

async function report(
  client: pg.Client,
  receiver: DemoReceiver,
  subscription: number,
  sent: Map<string, number>,
): Promise<boolean> {
  const { rows } = await client.query<Outcome>(
    `select webhook_id, state, attempts,
       coalesce(extract(epoch from total_time) * 1000, 0)::float8 as total_ms
     from posthorn.delivery_report where subscription_id = $1`,
    [subscription],
  );
  const groups: [name: string, belongs: (row: Outcome) => boolean][] = [
    ['delivered first time', ({ state, attempts }) => state === 'succeeded' && attempts === 1],
    ['delivered after retries', ({ state, attempts }) => state === 'succeeded' && attempts > 1],
    ['failed: schedule exhausted', ({ state }) => state === 'failed'],
    ['not ended', ({ state }) => state !== 'succeeded' && state !== 'failed'],
  ];
  say(
    `  ${'what happened'.padEnd(28)}${'webhooks'.padStart(9)}${'p50'.padStart(10)}${'p95'.padStart(10)}`,
  );
  for (const [name, belongs] of groups) {
    const times = rows
      .filter(belongs)
      .map(({ total_ms }) => total_ms)
      .sort((a, b) => a - b);
    if (times.length === 0) continue;
    say(
      `  ${name.padEnd(28)}${String(times.length).padStart(9)}${at(times, 0.5)}${at(times, 0.95)}`,
    );
  }
  const wrong = rows.filter(({ webhook_id, state, attempts }) => {
    const plan = planOf(sent.get(webhook_id) ?? -1);
    // More attempts than planned are no fault: on a busy machine an attempt may time out.
    return state !== plan.state || attempts < plan.attempts;
  });
  const { refused } = receiver;
  say(`\n  Signatures that the receiver could not verify: ${refused}`);
  const good =
    rows.length === WEBHOOKS && sent.size === WEBHOOKS && wrong.length === 0 && refused === 0;
  say(
    good
      ? '  Every webhook ended as it should.'
      : `  ${wrong.length} webhooks did not end as they should:`,
  );
  for (const { webhook_id, state, attempts } of wrong.slice(0, 10)) {
    const n = sent.get(webhook_id) ?? -1;
    say(
      `    ${webhook_id}: ${state} after ${attempts} attempts, expected ${JSON.stringify(planOf(n))}`,
    );
  }
  return good;
}

function sayWhereToLook({ databaseUrl }: Service, keep: boolean): void {
  const further = [
    ['POSTHORN_DATA_DIR=.posthorn-demo npx posthorn start', 'the same data, served again'],
    ['http://127.0.0.1:5000/api/docs/', 'every route, to try out'],
    ['http://127.0.0.1:5000/logs/deliverylogs', 'every attempt'],
    keep
      ? [`psql '${databaseUrl}' -c 'table posthorn.delivery_report'`, '']
      : ['npx posthorn demo --keep', 'keeps running, and shows how to connect with psql'],
  ].map(([what = '', why]) => `    ${what.padEnd(55)}${why}`.trimEnd());
  say(`\n  Look further:\n${further.join('\n')}`);
}

function at(sorted: number[], share: number): string {
  const value = sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
  return seconds(value).padStart(10);
}

function seconds(durationMs: number): string {
  return durationMs < 1000 ? `${Math.round(durationMs)} ms` : `${(durationMs / 1000).toFixed(1)} s`;
}

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** Shows a progress bar in a terminal, and nothing in a pipe. */
function bar(what: string, count: number): void {
  if (!process.stdout.isTTY) return;
  const width = 40;
  const full = Math.round((count / WEBHOOKS) * width);
  process.stdout.write(
    `\r  ${what} ${'█'.repeat(full)}${'░'.repeat(width - full)} ${count}/${WEBHOOKS}${count === WEBHOOKS ? '\n' : ''}`,
  );
}
