import { readSync } from 'node:fs';
import type { Socket } from 'node:net';
import { errorCode } from '../lib/errors.ts';

const ONE_BYTE = Buffer.alloc(1);

/**
 * Returns true if bytes have come on an idle connection that Node has not read yet, or the end of the
 * connection. The connection must not be used afterwards: a byte of it may be lost.
 *
 * Node reads when its event loop comes to it, which may be milliseconds after a request was written; so the
 * kernel is asked, which costs 15 µs. The file descriptor is an inside of Node (`test/http/unread.test.ts`
 * fails if it changes). Where there is none (Windows), the event loop alone has to do.
 */
export function hasUnread(socket: Socket): boolean {
  const fd = fileDescriptorOf(socket);
  if (fd < 0) return socket.destroyed;
  try {
    readSync(fd, ONE_BYTE, 0, 1, null);
    return true;
  } catch (error) {
    return errorCode(error) !== 'EAGAIN';
  }
}

/** Returns the file descriptor of a plain or TLS socket; -1: it has none. */
export function fileDescriptorOf(socket: Socket): number {
  return (socket as { _handle?: { fd?: number } })._handle?.fd ?? -1;
}
