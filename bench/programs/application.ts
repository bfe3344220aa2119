// An application that sends webhooks in SQL, each in a transaction of its own, from a small pool of connections.
import pg from 'pg';
import { nowMs, serveCommands } from '../lib/processes.ts';

export interface Sending {
  readonly databaseUrl: string;
  /** Webhooks a second, sent at fixed times. */
  readonly rate: number;
  readonly durationMs: number;
}

export interface Sent {
  readonly startedAt: number;
  /** For each webhook: when it was due, and when the application knew that it was committed, in microseconds. */
  readonly commits: readonly (readonly [dueAtUs: number, committedAtUs: number])[];
}

const CONNECTIONS = 8;
/** With the envelope, the body has about 490 bytes. */
const NOTE = 'x'.repeat(380);

let pool: pg.Pool | undefined;

async function send({ databaseUrl, rate, durationMs }: Sending): Promise<Sent> {
  pool ??= new pg.Pool({
    connectionString: databaseUrl,
    max: CONNECTIONS,
    idleTimeoutMillis: 0,
  });
  const total = Math.ceil((durationMs * rate) / 1000);
  const commits: [number, number][] = [];
  const sending: Promise<void>[] = [];
  const startedAt = nowMs();
  await new Promise<void>((resolve) => {
    const issue = () => {
      const target = Math.min(total, Math.floor(((nowMs() - startedAt) * rate) / 1000) + 1);
      while (sending.length < target)
        sending.push(sendOne(Math.round((startedAt + (sending.length * 1000) / rate) * 1000)));
      if (sending.length < total) return;
      clearInterval(ticking);
      resolve();
    };
    const ticking = setInterval(issue, 1);
    issue();
  });
  await Promise.all(sending);
  return { startedAt, commits };

  async function sendOne(dueAtUs: number): Promise<void> {
    const data = JSON.stringify({ sent_at_us: dueAtUs, note: NOTE });
    await pool?.query(`select posthorn.send('order.created', $1)`, [data]);
    commits.push([dueAtUs, Math.round(nowMs() * 1000)]);
  }
}

serveCommands({ send });
