import { createServer, type Server, type Socket } from 'node:net';
import { CASES, type Case } from './cases.ts';

/** A receiver that answers a request for `/7` with the seventh case, once it has all of the request. */
export function createTableServer(): Server {
  return createServer((socket) => {
    socket.on('error', () => {});
    let request = '';
    socket.on('data', (bytes) => {
      request += bytes.toString('latin1');
      const [, index, length] =
        /^POST \/(\d+) .*?content-length: *(\d+)\r\n(?:.*?\r\n)?\r\n/is.exec(request) ?? [];
      const body = request.slice(request.indexOf('\r\n\r\n') + 4);
      if (index === undefined || body.length < Number(length)) return;
      request = '';
      answer(socket, CASES[Number(index)] as Case);
    });
  });
}

function answer(socket: Socket, { raw, then }: Case): void {
  const bytes = Buffer.from(raw, 'latin1');
  if (then === 'close') socket.end(bytes);
  else if (then !== 'reset') socket.write(bytes);
  // Empty writes are called back at once.
  else socket.write(bytes, () => setImmediate(() => socket.resetAndDestroy()));
}
