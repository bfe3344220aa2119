import { once } from 'node:events';
import type { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import t, { type Test } from 'tap';
import { AT_MOST, attempt, createClient, LONG_MS, OK, startHostile } from '../helpers/hostile.ts';

t.test('a connection is kept for the next webhooks', AT_MOST, async (t) => {
  const receiver = await startHostile(t, (socket) => {
    socket.on('data', () => socket.write(`${OK}content-length: 2\r\n\r\nok`));
  });
  const client = createClient(t, LONG_MS);
  for (let n = 0; n < 5; n++)
    t.match(await attempt(client, `http://${receiver.authority}/`), {
      answer: { statusCode: 200 },
    });
  t.equal(receiver.sockets.length, 1);
});

t.test('a kept connection that the receiver has closed uses up no attempt', AT_MOST, async (t) => {
  // Each says nothing of it, answers once and closes when the next request comes.
  for (const close of [
    (socket: Socket) => socket.end(),
    (socket: Socket) => socket.destroy(),
    (socket: Socket) => socket.resetAndDestroy(),
  ]) {
    const receiver = await startHostile(t, (socket) => {
      let requests = 0;
      socket.on('data', () => {
        requests += 1;
        if (requests > 1) close(socket);
        else socket.write(`${OK}content-length: 2\r\n\r\nok`);
      });
    });
    const client = createClient(t, LONG_MS);
    for (const nth of [1, 2, 3]) {
      const { answer } = await attempt(client, `http://${receiver.authority}/`);
      t.match(answer, { statusCode: 200 });
      t.equal(receiver.sockets.length, nth);
    }
  }
});

t.test('a request is not repeated if its answer had begun', AT_MOST, async (t) => {
  const receiver = await startHostile(t, (socket) => {
    let requests = 0;
    socket.on('data', () => {
      requests += 1;
      if (requests > 1) socket.end('HTTP/1.1 2');
      else socket.write(`${OK}content-length: 2\r\n\r\nok`);
    });
  });
  const client = createClient(t, LONG_MS);
  t.match(await attempt(client, `http://${receiver.authority}/`), { answer: { statusCode: 200 } });
  const { verdict } = await attempt(client, `http://${receiver.authority}/`);
  t.match(verdict, { status: 'failed', errorCode: 'reset' });
  t.equal(receiver.sockets.length, 1);
});

/**
 * A receiver in a thread of its own that answers each request with its path, and says something more
 * while the connection is idle.
 *
 * @param stray what it says; nothing: it closes the connection.
 * @returns its port; `said`, which blocks this thread until it has said it once more, so that nothing
 *   is read meanwhile; and how many requests came.
 */
async function startStraying(t: Test, stray: string) {
  const counts = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(
    `const { parentPort, workerData: { stray, counts } } = require('node:worker_threads');
    const said = () => {
      Atomics.add(counts, 0, 1);
      Atomics.notify(counts, 0);
    };
    const server = require('node:net').createServer((socket) => {
      socket.setNoDelay(true).on('error', () => {});
      socket.on('data', (bytes) => {
        Atomics.add(counts, 1, 1);
        const [, path] = bytes.toString('latin1').split(' ');
        socket.write('HTTP/1.1 200 OK\\r\\ncontent-length: ' + path.length + '\\r\\n\\r\\n' + path);
        // Later than what follows at once upon an answer.
        setTimeout(() => (stray === '' ? socket.end(said) : socket.write(stray, said)), 20);
      });
    });
    server.listen(0, '127.0.0.1', () => parentPort.postMessage(server.address().port));`,
    { eval: true, workerData: { stray, counts } },
  );
  t.teardown(() => worker.terminate());
  const [port] = (await once(worker, 'message')) as [number];
  let strays = 0;
  return {
    port,
    said() {
      Atomics.wait(counts, 0, strays, LONG_MS);
      strays += 1;
      // On a busy machine the answer may be read only now; the connection has been idle for a while then.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, IDLE_MS);
    },
    requests: () => Atomics.load(counts, 1),
  };
}

/** Twice what a connection may be idle before it is asked for what it has not been read of yet. */
const IDLE_MS = 10;

const strays: [name: string, stray: string][] = [
  ['a 408', 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\ncontent-length: 0\r\n\r\n'],
  ['a 408 that keeps it', 'HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\n\r\n'],
  ['a 400', 'HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n'],
  ['a 500', 'HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n'],
  ['a 200', 'HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nlies'],
  ['a 410', 'HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n'],
  ['a 103', 'HTTP/1.1 103 Early Hints\r\n\r\n'],
  ['noise', '\0\0'],
  ['its end', ''],
];

for (const [name, stray] of strays) {
  t.test(`what comes before a request is no answer to it: ${name}`, AT_MOST, async (t) => {
    const receiver = await startStraying(t, stray);
    const client = createClient(t, LONG_MS);
    for (let n = 1; n <= 40; n++) {
      const { answer } = await attempt(client, `http://127.0.0.1:${receiver.port}/${n}`);
      if (answer?.excerpt !== `/${n}`) t.fail(`webhook ${n} got ${JSON.stringify(answer)}`);
      receiver.said();
    }
    t.equal(receiver.requests(), 40, 'each was sent once');
  });
}

const CLOSING_408 = 'HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n';

t.test('a 408 that crosses with a request is not its answer', AT_MOST, async (t) => {
  let requests = 0;
  const receiver = await startHostile(t, (socket) => {
    let ofSocket = 0;
    socket.on('data', () => {
      requests += 1;
      ofSocket += 1;
      if (ofSocket > 1) socket.end(CLOSING_408);
      else socket.write(`${OK}content-length: 2\r\n\r\nok`);
    });
  });
  const client = createClient(t, LONG_MS);
  for (let n = 0; n < 2; n++) {
    const { answer } = await attempt(client, `http://${receiver.authority}/`);
    t.match(answer, { statusCode: 200 });
  }
  t.equal(requests, 3, 'the second one was sent once more');
  t.equal(receiver.sockets.length, 2);
});

t.test('a 408 on a new connection is an answer, without a third request', AT_MOST, async (t) => {
  let requests = 0;
  const receiver = await startHostile(t, (socket) => {
    socket.on('data', () => {
      requests += 1;
      if (requests > 1) socket.end(CLOSING_408);
      else socket.write(`${OK}content-length: 2\r\n\r\nok`);
    });
  });
  const client = createClient(t, LONG_MS);
  await attempt(client, `http://${receiver.authority}/`);
  const { verdict } = await attempt(client, `http://${receiver.authority}/`);
  t.match(verdict, {
    errorCode: 'http_status',
    error: 'The receiver answered 408 Request Timeout.',
  });
  t.equal(requests, 3);
});

t.test('a 408 that keeps the connection is an answer', AT_MOST, async (t) => {
  let requests = 0;
  const receiver = await startHostile(t, (socket) => {
    socket.on('data', () => {
      requests += 1;
      const status = requests > 1 ? '408 Request Timeout' : '200 OK';
      socket.write(`HTTP/1.1 ${status}\r\ncontent-length: 2\r\n\r\nno`);
    });
  });
  const client = createClient(t, LONG_MS);
  await attempt(client, `http://${receiver.authority}/`);
  const { verdict } = await attempt(client, `http://${receiver.authority}/`);
  t.match(verdict, { error: 'The receiver answered 408 Request Timeout.' });
  t.equal(requests, 2);
});
