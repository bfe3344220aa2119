import { BlockList, isIP, isIPv6 } from 'node:net';
import { type Ports, portOf } from './ports.ts';

/** A list of networks, which the operator allowed or denied. */
export interface Networks {
  contains(address: string): boolean;
  /** Returns true if an address of this machine is among them. */
  readonly hasLoopback: boolean;
}

/** Where the operator lets deliveries go: more than ports 80 and 443 of the internet, or less. */
export interface Reach {
  readonly allowNetworks: Networks;
  /**
   * Public addresses that lead inside: those of this network, and prefixes of its own NAT64, which cannot be
   * told from other addresses. They are denied even if they are allowed too.
   */
  readonly denyNetworks: Networks;
  readonly allowPorts: Ports;
}

const LOOPBACK_ADDRESS = 'a loopback address';

/**
 * IPv4 that is not the public internet: the IANA special-purpose registry, multicast, the reserved
 * 240/4, and the metadata address of Azure, which lies in public space.
 */
export const DENIED_IPV4: readonly (readonly [network: string, prefix: number, what: string])[] = [
  ['0.0.0.0', 8, 'an unspecified address'],
  ['10.0.0.0', 8, 'a private address'],
  ['100.64.0.0', 10, 'a carrier-grade NAT address'],
  ['127.0.0.0', 8, LOOPBACK_ADDRESS],
  ['168.63.129.16', 32, 'a cloud metadata address'],
  ['169.254.0.0', 16, 'a link-local address'],
  ['172.16.0.0', 12, 'a private address'],
  ['192.0.0.0', 24, 'a special-purpose address'],
  ['192.0.2.0', 24, 'a documentation address'],
  ['192.88.99.0', 24, 'a 6to4 relay address'],
  ['192.168.0.0', 16, 'a private address'],
  ['198.18.0.0', 15, 'a benchmarking address'],
  ['198.51.100.0', 24, 'a documentation address'],
  ['203.0.113.0', 24, 'a documentation address'],
  ['224.0.0.0', 4, 'a multicast address'],
  ['240.0.0.0', 4, 'a reserved address'],
];

/** Within 2000::/3, the only IPv6 space that is global unicast, these are still not the internet. */
export const DENIED_IPV6: readonly (readonly [network: string, prefix: number, what: string])[] = [
  ['2001::', 23, 'a special-purpose address (Teredo, ORCHID and the like)'],
  ['2001:db8::', 32, 'a documentation address'],
  ['2002::', 16, 'a 6to4 address'],
  ['3fff::', 20, 'a documentation address'],
];

const GLOBAL_UNICAST = new BlockList();
GLOBAL_UNICAST.addSubnet('2000::', 3, 'ipv6');

const LOOPBACK = new BlockList();
LOOPBACK.addSubnet('127.0.0.0', 8, 'ipv4');
LOOPBACK.addAddress('::1', 'ipv6');

const denied = [
  ...DENIED_IPV4.map(([network, prefix, what]) => ({
    what,
    list: listOf(network, prefix, 'ipv4'),
  })),
  ...DENIED_IPV6.map(([network, prefix, what]) => ({
    what,
    list: listOf(network, prefix, 'ipv6'),
  })),
];

function listOf(network: string, prefix: number, family: 'ipv4' | 'ipv6'): BlockList {
  const list = new BlockList();
  list.addSubnet(network, prefix, family);
  return list;
}

/**
 * Returns why a delivery may not connect to this address, as words that follow "is", or null if it may.
 *
 * @param address an IPv4 or IPv6 address without brackets.
 * @example judgeAddress('10.1.2.3', reach) // 'a private address'
 */
export function judgeAddress(
  address: string,
  { allowNetworks, denyNetworks }: Pick<Reach, 'allowNetworks' | 'denyNetworks'>,
): string | null {
  // Only local addresses have a zone (fe80::1%eth0).
  const [bare = ''] = address.split('%');
  const version = isIP(bare);
  if (version === 0) return 'not an IP address';
  if (denyNetworks.contains(bare)) return 'a denied address';
  if (allowNetworks.contains(bare)) return null;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (family === 'ipv6' && !GLOBAL_UNICAST.check(bare, 'ipv6')) return outsideGlobalUnicast(bare);
  return denied.find(({ list }) => list.check(bare, family))?.what ?? null;
}

function outsideGlobalUnicast(address: string): string {
  const mapped = new URL(`http://[${address}]`).hostname;
  if (mapped === '[::1]') return LOOPBACK_ADDRESS;
  if (mapped.startsWith('[::ffff:')) return 'an IPv4-mapped address';
  if (/^\[fe[89ab]/.test(mapped)) return 'a link-local address';
  if (/^\[f[cd]/.test(mapped)) return 'a private address';
  return 'an address that is not public';
}

/**
 * Reads a comma-separated list of CIDRs.
 *
 * @throws Error naming the entry that is not a network.
 */
export function parseNetworks(text: string): Networks {
  const list = new BlockList();
  const contains = (address: string) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4');
  let withinLoopback = false;
  for (const entry of text.split(',').map((part) => part.trim())) {
    if (entry === '') continue;
    const [network = '', prefix, ...rest] = entry.split('/');
    const version = isIP(network);
    const bits = prefix === undefined ? (version === 4 ? 32 : 128) : Number(prefix);
    const valid = version !== 0 && rest.length === 0 && /^\d+$/.test(prefix ?? '0');
    if (!valid || bits > (version === 4 ? 32 : 128)) {
      throw new Error(`"${entry}" is not a network; write 10.0.0.0/8 or fd00::/8`);
    }
    list.addSubnet(network, bits, version === 4 ? 'ipv4' : 'ipv6');
    withinLoopback ||= isLoopback(network);
  }
  return { contains, hasLoopback: withinLoopback || hasLocalhost({ contains }) };
}

/**
 * Returns why a subscription may not have this URL, as a sentence, or null if it may. A name is checked again
 * by its addresses each time a connection is made.
 */
export function judgeUrl(text: string, reach: Reach): string | null {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    return 'it is not an absolute URL such as https://example.com/webhooks';
  }
  if (url.protocol !== 'https:' && url.protocol !== 'http:') {
    return `its scheme is ${url.protocol.slice(0, -1)}; only https and http are delivered to`;
  }
  if (url.username !== '' || url.password !== '') {
    return 'it contains a user name or password; use a secret and check the signature instead';
  }
  // The host of the parsed URL, not of the text: 2130706433, 0x7f.1 and 127.0.0.1 are one address.
  const host = unbracketed(url.hostname);
  const what = judgeHost(host, reach);
  if (what !== null) {
    return `${host} is ${what}, which deliveries may not reach${
      what === LOOPBACK_ADDRESS
        ? '; for development, start with POSTHORN_ALLOW_NETWORKS=127.0.0.0/8,::1/128'
        : ''
    }`;
  }
  const port = portOf(url);
  if (isPortOpen(host, port, reach)) return null;
  return `its port is ${port}, and deliveries go to ports ${reach.allowPorts.text} only; POSTHORN_ALLOW_PORTS=${port} would open it`;
}

/**
 * Checks a host without DNS: literal addresses, and names that always mean this machine. Returns words that
 * follow "is", or null.
 */
export function judgeHost(host: string, reach: Reach): string | null {
  if (isIP(host) !== 0) return judgeAddress(host, reach);
  return isLocalName(host) && !hasLocalhost(reach.allowNetworks) ? LOOPBACK_ADDRESS : null;
}

/**
 * Returns true if deliveries may use this port of a host that `judgeHost` allows. If the operator has allowed
 * loopback, all its ports are allowed, because development servers use any port.
 */
export function isPortOpen(host: string, port: number, { allowPorts }: Reach): boolean {
  return allowPorts.contains(port) || isLoopback(host) || isLocalName(host);
}

/** Returns true for addresses of this machine; false for names. */
export function isLoopback(address: string): boolean {
  const version = isIP(address);
  return version !== 0 && LOOPBACK.check(address, version === 4 ? 'ipv4' : 'ipv6');
}

/** RFC 6761: localhost and what is under it. */
function isLocalName(host: string): boolean {
  return /(^|\.)localhost\.?$/.test(host);
}

function hasLocalhost(networks: Pick<Networks, 'contains'>): boolean {
  return networks.contains('127.0.0.1') || networks.contains('::1');
}

/** Returns the host of a URL as `isIP` and sockets need it: IPv6 without its brackets. */
export function unbracketed(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** A delivery would have connected to a denied address or port. The message is a clause. */
export class BlockedAddressError extends Error {
  override readonly name = 'BlockedAddressError';
}
