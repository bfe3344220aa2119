import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import pg from 'pg';

const ROOT = join(import.meta.dirname, '..', '..');

/** The secret that signs the webhooks of every run. */
export const SECRET = 'whsec_YmVuY2htYXJrLXNlY3JldC1vZi0zMi1ieXRlcy1vcnNv';

/** A service that is being measured, with its own database. */
export interface Running {
  readonly port: number;
  readonly pid: number;
  readonly databaseUrl: string;
  /**
   * Creates a subscription and returns the path to which its webhooks are sent. With event types (only
   * Posthorn has them), it also gets webhooks that are sent by event type.
   */
  subscribe(url: string, eventTypes?: string[]): Promise<string>;
  /** Returns the number of deliveries that are due and have not ended. */
  due(): Promise<number>;
  stop(): Promise<void>;
}

/** One of the two designs: ordinary, or posthorn. */
export interface Side {
  readonly name: 'ordinary' | 'posthorn';
  start(databaseUrl: string, env?: Record<string, string>): Promise<Running>;
}

export const ordinary: Side = {
  name: 'ordinary',
  async start(databaseUrl, env = {}) {
    const child = run(['bench/ordinary/main.ts'], { DATABASE_URL: databaseUrl, ...env });
    const url = await firstMatch(child, child.stdout, /(http:\S+)/);
    return running({
      databaseUrl,
      url,
      child,
      subscribePath: '/subscriptions',
      due: `select count(*)::integer as due from ordinary.webhooks where state = 'pending'`,
    });
  },
};

export const posthorn: Side = {
  name: 'posthorn',
  async start(databaseUrl, env = {}) {
    // What people install: the JavaScript that `npm run build` writes, with the flags that it gives itself.
    const child = run(['dist/src/main.js', 'start'], {
      DATABASE_URL: databaseUrl,
      PORT: '0',
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8',
      ...env,
    });
    const url = await firstMatch(child, child.stderr, /"url":"([^"]+)"/);
    return running({
      databaseUrl,
      url,
      child,
      subscribePath: '/subscriptions/createsubscription',
      due: `select count(*)::integer as due from posthorn.deliveries
        where state in ('pending', 'held') and next_attempt_at <= now()`,
    });
  },
};

function run(args: string[], env: Record<string, string>): ChildProcess {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('POSTHORN_'));
  // Passes options such as --cpu-prof on to the service.
  const options = (process.env.BENCH_NODE_OPTIONS ?? '').split(' ').filter(Boolean);
  return spawn(process.execPath, [...options, ...args], {
    cwd: ROOT,
    env: { ...Object.fromEntries(inherited), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

async function firstMatch(
  child: ChildProcess,
  stream: NodeJS.ReadableStream | null,
  pattern: RegExp,
): Promise<string> {
  let text = '';
  let complaints = '';
  child.stderr?.on('data', (chunk) => {
    complaints += chunk;
  });
  return await new Promise((resolve, reject) => {
    stream?.on('data', (chunk) => {
      text += chunk;
      const match = pattern.exec(text);
      if (match !== null) resolve(match[1] as string);
    });
    child.on('exit', (code) => reject(new Error(`it ended with ${code}: ${complaints}`)));
  });
}

async function running(options: {
  databaseUrl: string;
  url: string;
  child: ChildProcess;
  subscribePath: string;
  due: string;
}): Promise<Running> {
  const { databaseUrl, url, child, subscribePath, due } = options;
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  return {
    port: Number(new URL(url).port),
    pid: child.pid as number,
    databaseUrl,
    async subscribe(target, eventTypes) {
      const path = eventTypes === undefined ? subscribePath : '/v1/subscriptions';
      const response = await fetch(new URL(path, url), {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({
          url: target,
          secret: SECRET,
          ...(eventTypes === undefined ? {} : { event_types: eventTypes }),
        }),
      });
      if (!response.ok) throw new Error(await response.text());
      return `/ingest/${((await response.json()) as { id: number }).id}`;
    },
    due: async () => (await client.query(due)).rows[0].due,
    async stop() {
      await client.end();
      child.kill('SIGTERM');
      if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
    },
  };
}
