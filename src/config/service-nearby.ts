import { isIPv6 } from 'node:net';
import { OperatorError } from '../lib/errors.ts';
import { readGiven } from './given.ts';
import { SETTINGS } from './known-settings.ts';

// Settings of the service that are needed by commands that call it. They come from the same places as those
// of loadSettings, but all other settings may be wrong or missing.

/**
 * Reads the admin key.
 *
 * @throws OperatorError if the text cannot be an admin key.
 */
export function loadAdminKey(): string | undefined {
  const text = textOf('POSTHORN_ADMIN_KEY');
  return text && read('POSTHORN_ADMIN_KEY', text, SETTINGS.POSTHORN_ADMIN_KEY.read);
}

/**
 * Returns the URL at which a service with these settings answers programs of its own machine.
 *
 * @throws OperatorError if `PORT` is wrong, or 0, which means any free port.
 */
export function loadServiceUrl(): string {
  const port = read('PORT', textOf('PORT') as string, SETTINGS.PORT.read);
  if (port === 0)
    throw new OperatorError(
      'PORT is 0, which is any free port. Give the URL that the service has logged with --url.',
    );
  const host = SETTINGS.HOST.read(textOf('HOST') as string);
  const address = OWN_ADDRESS[host] ?? host;
  return `http://${isIPv6(address) ? `[${address}]` : address}:${port}`;
}

/** Hosts that mean all addresses of a machine, and the address at which it reaches itself. */
const OWN_ADDRESS: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

function textOf(name: keyof typeof SETTINGS): string | undefined {
  return readGiven(process.env, process.cwd())[name] ?? SETTINGS[name].fallback;
}

function read<T>(name: string, value: string, reader: (text: string) => T): T {
  try {
    return reader(value);
  } catch (error) {
    throw new OperatorError(`Bad setting: ${name}: ${(error as Error).message}`);
  }
}
