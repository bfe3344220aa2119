import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createServer } from '../lib/node-http.ts';

/** A new secret for every demo. */
export const DEMO_SECRET = `whsec_${randomBytes(32).toString('base64')}`;

/** The receiver's answers to a webhook, and the end of its delivery that follows from them. */
interface Plan {
  /** The answers to the attempts in turn; all further attempts get the last answer. */
  readonly answers: readonly (200 | 404 | 500 | 'silence')[];
  readonly state: 'succeeded' | 'failed';
  readonly attempts: number;
}

/** The plan for webhook number `n`: most succeed, some fail at first or for good. */
export function planOf(n: number): Plan {
  if (n % 100 === 99) return { answers: [500], state: 'failed', attempts: 4 };
  if (n % 50 === 11) return { answers: [404], state: 'failed', attempts: 4 };
  if (n % 50 === 7) return { answers: ['silence', 200], state: 'succeeded', attempts: 2 };
  if (n % 10 === 3) return { answers: [500, 500, 200], state: 'succeeded', attempts: 3 };
  if (n % 10 === 5) return { answers: [500, 200], state: 'succeeded', attempts: 2 };
  return { answers: [200], state: 'succeeded', attempts: 1 };
}

export interface DemoReceiver {
  readonly url: string;
  /** Requests whose signature was not right. */
  readonly refused: number;
  close(): Promise<void>;
}

/** A receiver that checks signatures as a customer's would, then fails, stalls or refuses as planned. */
export async function startDemoReceiver(): Promise<DemoReceiver> {
  const seen = new Map<number, number>();
  let refused = 0;
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const body = Buffer.concat(chunks);
      if (!isGenuine(request, body)) {
        refused += 1;
        response.writeHead(401).end();
        return;
      }
      const { n } = (JSON.parse(body.toString()) as { data: { n: number } }).data;
      const attempt = seen.get(n) ?? 0;
      seen.set(n, attempt + 1);
      const { answers } = planOf(n);
      const answer = answers[Math.min(attempt, answers.length - 1)];
      if (answer !== 'silence') response.writeHead(answer as number).end(`answer ${answer}\n`);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/orders`,
    get refused() {
      return refused;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Standard Webhooks, by the specification rather than by our own code. */
function isGenuine({ headers }: IncomingMessage, body: Buffer): boolean {
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`;
  const key = Buffer.from(DEMO_SECRET.slice('whsec_'.length), 'base64');
  const expected = Buffer.from(`v1,${createHmac('sha256', key).update(signed).digest('base64')}`);
  const given = Buffer.from(String(headers['webhook-signature']));
  return given.length === expected.length && timingSafeEqual(given, expected);
}
