// A receiver that keeps a record of each request: from which host it came, when it was begun there, when it arrived
// here, and when it was answered. It fails an attempt where the body says so.
//
//   node recording-receiver-program.ts <address> <port>
import { createServer } from 'node:http';
import type { RecordedRequest } from './recording-receiver.ts';

const [host = '127.0.0.1', port = '0'] = process.argv.slice(2);
/** Until it answers, a little different each time. */
const ANSWER_MS = 20;

const requests: RecordedRequest[] = [];
const counts: Record<string, number> = {};
const tries = new Map<string, number>();

const server = createServer((request, response) => {
  const arrivedAt = Date.now();
  const from = request.socket.remoteAddress ?? '';
  const chunks: Buffer[] = [];
  request.on('error', () => {});
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const webhookId = String(request.headers['webhook-id']);
    const body = JSON.parse(Buffer.concat(chunks).toString()) as {
      readonly n?: number;
      readonly key?: string | null;
      readonly failures?: number;
    };
    setTimeout(() => {
      // Its sender has ended.
      const isAbandoned = response.destroyed;
      const nth = (tries.get(webhookId) ?? 0) + 1;
      if (!isAbandoned) tries.set(webhookId, nth);
      const status = nth <= (body.failures ?? 0) ? 500 : 200;
      requests.push({
        webhookId,
        path: request.url ?? '',
        from,
        timestamp: Number(request.headers['webhook-timestamp']),
        arrivedAt,
        answeredAt: isAbandoned ? null : Date.now(),
        status,
        n: body.n ?? 0,
        key: body.key ?? null,
      });
      counts[from] = (counts[from] ?? 0) + 1;
      response.statusCode = status;
      response.end();
    }, ANSWER_MS * Math.random());
  });
});
server.keepAliveTimeout = 60_000;
process.on('message', (asked: 'requests' | 'counts') => {
  process.send?.(asked === 'counts' ? counts : requests);
});
process.on('disconnect', () => process.exit());
server.listen(Number(port), host, () => process.send?.({}));
