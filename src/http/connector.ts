import type { LookupOptions } from 'node:dns';
import { isIP, Socket } from 'node:net';
import {
  BlockedAddressError,
  isLoopback,
  isPortOpen,
  judgeAddress,
  judgeHost,
  type Reach,
  unbracketed,
} from './address-guard.ts';
import { createTunnelConnector, type EgressProxy } from './egress-proxy.ts';
import { lookupByTurns, type Resolve, shareLookups } from './lookups.ts';
import type { PhaseClock } from './phase-clock.ts';
import { portOf } from './ports.ts';
import {
  type Connected,
  type Connector,
  createUndiciConnector,
  type LookupCallback,
  type Target,
} from './undici.ts';

export interface ConnectorOptions extends Reach {
  /** The longest time for connecting, TLS included, and for the attempt that waits for it. */
  readonly timeoutMs: number;
  /** If set, every connection is a tunnel through this proxy, which resolves the names. */
  readonly egressProxy?: EgressProxy | undefined;
  /** The system's look-up, unless a test gives its own. */
  readonly resolve?: Resolve;
}

export interface ConnectTarget extends Target {
  /** On whose behalf, such as a tenant's: owners take look-ups of names in turns. */
  readonly owner: string;
  /** Told when each phase of connecting begins. */
  readonly clock: PhaseClock | undefined;
}

/** Makes a connection. */
export type Connect = (target: ConnectTarget, callback: Connected) => void;

/**
 * Makes connections to receivers, and checks each before a packet is sent: literal addresses and ports here,
 * names by all their addresses, in the lookup of the socket itself. With an egress proxy, the proxy checks the
 * addresses of names.
 */
export function createConnector(options: ConnectorOptions): Connect {
  const { timeoutMs, egressProxy, allowNetworks, allowPorts, resolve: given } = options;
  const resolveFor = shareLookups(
    given === undefined ? lookupByTurns : (_owner, ...asked) => given(...asked),
  );
  /** The owner and the clock of the connection that is being opened: a socket looks its host name up before the caller has it. */
  let owner = '';
  let clock: PhaseClock | undefined;
  const resolve: Resolve = (...asked) => resolveFor(owner, ...asked);
  const withLookup = (judge: JudgeResolved) => {
    const lookUp = createGuardedLookup(judge, resolve);
    return createUndiciConnector({
      timeout: timeoutMs,
      lookup(hostname, how, callback) {
        const ofThis = clock;
        ofThis?.enter('dns');
        lookUp(hostname, how, (error, ...found) => {
          if (error === null) ofThis?.enter('connect');
          callback(error, ...found);
        });
      },
    });
  };

  const judge = createResolvedJudge(options);
  const connect = withLookup(judge);
  const connectToLoopback = withLookup((name, address) => {
    const refusal = judge(name, address);
    if (refusal !== null || isLoopback(address)) return refusal;
    return `the URL's port is open on loopback only, and ${name} resolves to another address`;
  });
  const tunnel =
    egressProxy === undefined
      ? undefined
      : createTunnelConnector(
          egressProxy,
          timeoutMs,
          createUndiciConnector({ timeout: timeoutMs }),
        );

  function choose(host: string, port: number): Connector | string {
    const what = judgeHost(host, options);
    if (what !== null) return `${host} is ${what}, which deliveries may not reach`;
    if (egressProxy !== undefined && isItself(egressProxy, host, port))
      return `${host} is the egress proxy, which deliveries may not reach`;
    if (tunnel !== undefined && isPortOpen(host, port, options)) return tunnel;
    if (tunnel === undefined && (allowPorts.contains(port) || isLoopback(host))) return connect;
    if (tunnel === undefined && isIP(host) === 0 && allowNetworks.hasLoopback)
      return connectToLoopback;
    return `the URL's port is ${port}, and deliveries go to ports ${allowPorts.text} only`;
  }

  return ({ owner: connectsFor, clock: toTell, ...target }, callback) => {
    const host = unbracketed(target.hostname);
    const chosen = choose(host, portOf(target));
    // RFC 6066, 3: without the dot that ends `hooks.example.`, with which Go's TLS refuses it; it is
    // the name that the certificate is verified for, too. Literal addresses have none.
    const servername = isIP(host) === 0 ? withoutDot(host) : '';
    if (typeof chosen === 'string') callback(new BlockedAddressError(chosen), null);
    else {
      owner = connectsFor;
      clock = toTell;
      // Other names are looked up first.
      if (isIP(host) !== 0 || chosen === tunnel) clock?.enter('connect');
      const connecting = chosen({ ...target, servername }, (...result) => {
        const [error, socket] = result;
        if (error === null) callback(null, socket);
        else callback(error, null);
      });
      // The socket of a tunnel is connected to the proxy.
      if (toTell !== undefined && target.protocol === 'https:' && connecting instanceof Socket)
        connecting.once('connect', () => toTell.enter('tls'));
    }
  };
}

function isItself(proxy: EgressProxy, host: string, port: number): boolean {
  return withoutDot(host) === withoutDot(proxy.hostname) && port === proxy.port;
}

/** Returns a name without the final dot, which makes it absolute. */
function withoutDot(host: string): string {
  return host.replace(/\.+$/, '');
}

/** Returns why a name with this address may not be connected to, as a clause, or null. */
type JudgeResolved = (name: string, address: string) => string | null;

export function createResolvedJudge(reach: Reach): JudgeResolved {
  return (name, address) => {
    const what = judgeAddress(address, reach);
    // Without the address, which would show customers the inside of the operator's network.
    return what === null ? null : `${name} resolves to ${what}, which deliveries may not reach`;
  };
}

/**
 * A `lookup` for sockets that refuses a name if any of its addresses is denied. The checked addresses are the
 * ones connected to, so a DNS answer that changes in between cannot slip through. Sockets do not call it for
 * literal addresses; the connector checks those.
 */
export function createGuardedLookup(judge: JudgeResolved, resolve: Resolve) {
  return (hostname: string, options: LookupOptions, callback: LookupCallback): void => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error);
      for (const { address } of addresses) {
        const refusal = judge(hostname, address);
        if (refusal !== null) return callback(new BlockedAddressError(refusal));
      }
      const [first] = addresses;
      if (first === undefined)
        return callback(
          Object.assign(new Error(`${hostname} has no address`), { code: 'ENOTFOUND' }),
        );
      if (options.all) return callback(null, addresses);
      callback(null, first.address, first.family);
    });
  };
}
