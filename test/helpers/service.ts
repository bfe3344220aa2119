import { type Logger, pino } from 'pino';
import type { Test } from 'tap';
import { type Service, startService } from '../../src/app/service.ts';
import { loadSettings } from '../../src/config/settings.ts';
import { createTestDatabase } from './database.ts';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers whose shape is what they test
  readonly json: any;
}

export interface TestService {
  readonly url: string;
  readonly databaseUrl: string;
  readonly service: Service;
  /** Sends a request: a string or Buffer goes as it is, anything else as JSON. */
  request(
    method: string,
    path: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Reply>;
  /** Creates a subscription and returns its id. */
  subscribe(url: string, secret?: string): Promise<number>;
  /** Hands a webhook in and returns its id; throws unless it was accepted. */
  ingest(
    subscriptionId: number,
    payload?: unknown,
    headers?: Record<string, string>,
  ): Promise<string>;
}

/** Starts the service in this process, on a port and a database of its own, until the test ends. */
export async function startTestService(
  t: Test,
  env: Record<string, string> = {},
  log: Logger = pino({ level: 'silent' }),
): Promise<TestService> {
  const databaseUrl = env.DATABASE_URL ?? (await createTestDatabase(t));
  const settings = loadSettings(
    {
      PORT: '0',
      POSTHORN_ALLOW_NETWORKS: '127.0.0.0/8,::1/128',
      POSTHORN_RETRY_SCHEDULE: '100ms,200ms',
      // A busy machine may read an answer late; that would be an attempt used up.
      POSTHORN_DELIVERY_TIMEOUT: '30s',
      // The queue makes a worker for each at its start, and few tests have more under way.
      POSTHORN_MAX_IN_FLIGHT: '200',
      POSTHORN_SHUTDOWN_GRACE: '2s',
      ...env,
      DATABASE_URL: databaseUrl,
    },
    import.meta.dirname,
  );
  const service = await startService(settings, log);
  t.teardown(() => service.stop());

  const request: TestService['request'] = async (method, path, body, headers = {}) => {
    const raw = typeof body === 'string' || Buffer.isBuffer(body) || body === undefined;
    const response = await fetch(new URL(path, service.url), {
      method,
      headers: {
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(body === undefined ? {} : { body: (raw ? body : JSON.stringify(body)) as string }),
    });
    const text = isEndless(response) ? await firstPart(response) : await response.text();
    return { status: response.status, headers: response.headers, text, json: parse(text) };
  };

  return {
    url: service.url,
    databaseUrl,
    service,
    request,
    async subscribe(url, secret) {
      const { status, json, text } = await request('POST', '/subscriptions/createsubscription', {
        url,
        ...(secret === undefined ? {} : { secret }),
      });
      if (status !== 201) throw new Error(`subscribe: ${status} ${text}`);
      return json.id;
    },
    async ingest(subscriptionId, payload = { hello: 'world' }, headers = {}) {
      const { status, json, text } = await request(
        'POST',
        `/ingest/${subscriptionId}`,
        payload,
        headers,
      );
      if (status !== 202) throw new Error(`ingest: ${status} ${text}`);
      return json.webhook_id;
    },
  };
}

/** Returns true for a stream of events, which would never be read to its end. */
export function isEndless({ headers }: Response): boolean {
  return headers.get('content-type')?.startsWith('text/event-stream') ?? false;
}

/** Reads the first lines of an answer without end, and closes its connection. */
export async function firstPart({ body }: Response): Promise<string> {
  const reader = body?.getReader();
  const { value } = (await reader?.read()) ?? {};
  await reader?.cancel();
  const [first = ''] = new TextDecoder().decode(value).split('\n\n');
  return first;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
