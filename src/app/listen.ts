import type { AddressInfo } from 'node:net';
import type { FastifyInstance } from 'fastify';
import type { Settings } from '../config/settings.ts';
import { errorCode, OperatorError } from '../lib/errors.ts';

/**
 * Makes the API listen.
 *
 * @returns its URL.
 * @throws OperatorError with one line that says what to do, when it cannot listen there.
 */
export async function listen(app: FastifyInstance, { host, port }: Settings): Promise<string> {
  try {
    await app.listen({
      host,
      port,
      listenTextResolver: (address) => `the API listens at ${address}`,
    });
  } catch (error) {
    switch (errorCode(error)) {
      case 'EADDRINUSE':
        throw new OperatorError(
          `Port ${port} on ${host} is taken. Stop what listens there, or set PORT to another port (PORT=0 finds a free port).`,
        );
      case 'EACCES':
        throw new OperatorError(
          `Port ${port} needs more rights than this user has. Set PORT to a port above 1023.`,
        );
      case 'EADDRNOTAVAIL':
      case 'ENOTFOUND':
        throw new OperatorError(
          `HOST=${host} is not an address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.`,
        );
      default:
        throw error;
    }
  }
  return urlOf(app.server.address() as AddressInfo, host);
}

/** Returns the URL of an API that listens at the address. */
export function urlOf(
  { address, port }: Pick<AddressInfo, 'address' | 'port'>,
  host: string,
): string {
  const name = address ?? host;
  return `http://${name.includes(':') ? `[${name}]` : name}:${port}`;
}
