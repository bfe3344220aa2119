import pg from 'pg';
import { errorCode, errorMessage } from '../lib/errors.ts';
import { noteReportedSettings, reportedSetting } from './driver.ts';
import { type Host, type HostWithUrl, hostsAsText, type Target } from './hosts.ts';

/** Shorter than a pool waits for a new connection. */
const ANSWER_MS = 3_000;

/** The kind of a server, as it reports it to its clients. Undefined: a pooler does not pass that on. */
export type ServerKind = 'primary' | 'standby' | undefined;

/** No server is what the connection URL asks for. Its SQLSTATE is that of statements that a standby refuses. */
export class WrongServer extends Error {
  override readonly name = 'WrongServer';
  readonly code: string;

  constructor(message: string, code = '25006') {
    super(message);
    this.code = code;
  }
}

/** Returns what a connected client's server says about itself, which Postgres 14 and later report to each client. */
export function serverKindOf(client: pg.ClientBase): ServerKind {
  const reported = reportedSetting(client, 'in_hot_standby');
  return reported === undefined ? undefined : reported === 'on' ? 'standby' : 'primary';
}

/** @throws WrongServer if a server is not what is wanted. A server that does not tell is taken. */
export function requireKind(kind: ServerKind, target: Target, host: Host): void {
  if (target === 'any' || kind === undefined || kind === target) return;
  throw new WrongServer(
    kind === 'standby'
      ? `The server ${hostsAsText([host])} is a standby, which can only be read`
      : `The server ${hostsAsText([host])} is the primary, not a standby`,
  );
}

export interface HostFinder {
  /** Returns the host to connect to. Rejects if there is none now. */
  find(): Promise<Host>;
  /** Lets the next `find` look again, because this host could not be used. */
  forget(host: Host): void;
}

/**
 * Finds the one of several servers that is the primary, or a standby: it connects to all of them at once, so a host
 * that does not answer delays nothing. What it found is used until a connection to it fails.
 */
export function createHostFinder(
  config: pg.ClientConfig,
  hosts: readonly HostWithUrl[],
  target: Target,
): HostFinder {
  let finding: Promise<Host> | undefined;
  let found: Host | undefined;

  async function look(): Promise<Host> {
    const asked = hosts.map(async (host) => {
      requireKind(await askKind(config, host), target, host);
      return host;
    });
    try {
      found = await Promise.any(asked);
      return found;
    } catch (error) {
      finding = undefined;
      throw noneOf(hosts, target, (error as AggregateError).errors);
    }
  }

  return {
    find: () => {
      finding ??= look();
      return finding;
    },
    forget(host) {
      if (host !== found) return;
      finding = undefined;
      found = undefined;
    },
  };
}

async function askKind(config: pg.ClientConfig, { url }: HostWithUrl): Promise<ServerKind> {
  const client = new pg.Client({
    ...config,
    connectionString: url,
    connectionTimeoutMillis: ANSWER_MS,
  });
  noteReportedSettings(client);
  client.on('error', () => {});
  try {
    await client.connect();
    return serverKindOf(client);
  } finally {
    client.end().catch(() => {});
  }
}

/** If all servers refuse for the same reason, such as a wrong password, that is the error. */
function noneOf(hosts: readonly Host[], target: Target, errors: readonly unknown[]): unknown {
  const codes = new Set(errors.map(errorCode));
  const [code] = codes;
  if (codes.size === 1 && /^(28|3D)/.test(code ?? '')) return errors[0];
  const reasons = hosts.map((host, at) => `${hostsAsText([host])}: ${errorMessage(errors[at])}`);
  return new WrongServer(
    `None of the servers is ${target === 'primary' ? 'the primary' : target === 'standby' ? 'a standby' : 'there'} (${reasons.join('; ')})`,
    codes.size === 1 ? code : '57P03',
  );
}
