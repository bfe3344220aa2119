import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Test } from 'tap';
import { until } from './until.ts';

export interface ReceivedRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly at: number;
}

export interface Receiver {
  /** Where it listens, without a path. */
  readonly url: string;
  readonly received: ReceivedRequest[];
  /** Waits until so many requests have come, and returns them. */
  waitFor(count: number, timeoutMs?: number): Promise<ReceivedRequest[]>;
  close(): Promise<void>;
}

/** Answers a request; `nth` counts the requests of the receiver from 1. */
export type Answer = (response: ServerResponse, request: ReceivedRequest, nth: number) => void;

/** A receiver on a real socket. By default it answers 200 to everything. */
export async function startReceiver(
  t: Test,
  answer: Answer = (response) => response.end('ok'),
): Promise<Receiver> {
  const received: ReceivedRequest[] = [];
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const { method = '', url: path = '', headers } = request;
      const one = { method, path, headers, body: Buffer.concat(chunks), at: Date.now() };
      const nth = received.push(one);
      answer(response, one, nth);
    });
    request.on('error', () => {});
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  t.teardown(close);
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    close,
    waitFor: (count, timeoutMs) =>
      until(`${count} requests have come`, () => received.length >= count && received, timeoutMs),
  };
}
