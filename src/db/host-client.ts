import type pg from 'pg';
import { FrugalClient, moveTo, noteReportedSettings } from './driver.ts';
import { createHostFinder, type HostFinder, requireKind, serverKindOf } from './host-finder.ts';
import { type Host, readConnectionString, type Target } from './hosts.ts';

/** The settings of a client, and the servers among which it chooses. */
export interface HostClientConfig extends pg.ClientConfig {
  readonly servers?: Servers;
}

interface Servers {
  readonly target: Target;
  /** Undefined if there is only one. */
  readonly finder: HostFinder | undefined;
}

/** All clients with the same connection URL share what one of them has found. */
const known = new Map<string, Servers>();

/**
 * Returns the settings of a `HostClient`, whose connection URL may name several hosts.
 *
 * @throws Error if the URL cannot be read; the message contains no password.
 */
export function withServers(
  connectionString: string,
  others: pg.ClientConfig,
  fallback?: Target,
): HostClientConfig {
  const { hosts, target } = readConnectionString(connectionString, fallback);
  const config = { ...others, connectionString: hosts[0].url };
  const key = `${target} ${connectionString}`;
  let servers = known.get(key);
  if (servers === undefined) {
    const finder = hosts.length > 1 ? createHostFinder(config, hosts, target) : undefined;
    servers = { target, finder };
    known.set(key, servers);
  }
  return { ...config, servers };
}

/**
 * A client that connects only to a server of the kind that its connection URL asks for, by default the primary. A
 * standby answers reads with old rows, and a name or a balancer may lead to it for some time after a failover.
 * A primary does not become a standby without a restart, which ends its connections, so asking once is enough.
 */
export class HostClient extends FrugalClient {
  readonly #servers: Servers | undefined;

  constructor(config?: string | HostClientConfig) {
    super(config);
    this.#servers = typeof config === 'object' ? config.servers : undefined;
    noteReportedSettings(this);
    // An error may come in the same packet as the end of connecting, before a pool listens, and would end the process.
    // The statements on the connection fail too, so the event adds nothing.
    this.on('error', () => {});
  }

  override connect(): Promise<pg.Client>;
  override connect(callback: (error: Error) => void): void;
  override connect(callback?: (error: Error) => void): Promise<pg.Client> | undefined {
    const connecting = this.#connect();
    if (callback === undefined) return connecting;
    // In the next tick, so that an error that the callback throws is not taken for one of the connection.
    connecting.then(
      () => process.nextTick(callback),
      (error: unknown) => process.nextTick(callback, error),
    );
    return undefined;
  }

  async #connect(): Promise<pg.Client> {
    if (this.#servers === undefined) return await super.connect();
    const { finder, target } = this.#servers;
    const found = await finder?.find();
    if (found !== undefined) moveTo(this, found.host, found.port);
    const host: Host = found ?? this;
    try {
      await super.connect();
      requireKind(serverKindOf(this), target, host);
    } catch (error) {
      finder?.forget(host);
      this.end().catch(() => {});
      throw error;
    }
    return this;
  }
}
