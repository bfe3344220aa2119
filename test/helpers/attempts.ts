import diagnostics from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import type { Test } from 'tap';

export interface Attempts {
  /** Addresses of this process's `connect(2)` calls, each of which is a SYN. */
  readonly addresses: string[];
  /** Sockets created by `net.connect`; a socket with a host name may not have connected. */
  readonly sockets: number;
}

/** Watches every attempt of this process to connect by TCP, until the test ends. */
export function watchAttempts(t: Test): Attempts {
  const addresses: string[] = [];
  const seen = { addresses, sockets: 0 };
  const onSocket = (message: unknown) => {
    seen.sockets += 1;
    const { socket } = message as { socket: Socket };
    socket.on('connectionAttempt', (address: string) => addresses.push(address));
  };
  diagnostics.subscribe('net.client.socket', onSocket);
  t.teardown(() => diagnostics.unsubscribe('net.client.socket', onSocket));
  return seen;
}
