import { lookup as dnsLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import { BlockList, isIP, isIPv6 } from 'node:net';

/** Networks that the operator opened although they are private. */
export interface Networks {
  contains(address: string): boolean;
}

/**
 * IPv4 that is not the public internet: the IANA special-purpose registry, multicast, the reserved
 * 240/4, and the metadata address of Azure, which lies in public space.
 */
const DENIED_IPV4: readonly (readonly [network: string, prefix: number, what: string])[] = [
  ['0.0.0.0', 8, 'an unspecified address'],
  ['10.0.0.0', 8, 'a private address'],
  ['100.64.0.0', 10, 'a carrier-grade NAT address'],
  ['127.0.0.0', 8, 'a loopback address'],
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
const DENIED_IPV6: readonly (readonly [network: string, prefix: number, what: string])[] = [
  ['2001::', 23, 'a special-purpose address (Teredo, ORCHID and the like)'],
  ['2001:db8::', 32, 'a documentation address'],
  ['2002::', 16, 'a 6to4 address'],
  ['3fff::', 20, 'a documentation address'],
];

const GLOBAL_UNICAST = new BlockList();
GLOBAL_UNICAST.addSubnet('2000::', 3, 'ipv6');

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
 * Why a delivery may not connect to this address, as words that follow "is", or null when it may.
 *
 * @param address an IPv4 or IPv6 address without brackets.
 * @example judgeAddress('10.1.2.3', none) // 'a private address'
 */
export function judgeAddress(address: string, allowed: Networks): string | null {
  // A zone (fe80::1%eth0) only ever qualifies local addresses.
  const [bare = ''] = address.split('%');
  const version = isIP(bare);
  if (version === 0) return 'not an IP address';
  if (allowed.contains(bare)) return null;
  const family = version === 4 ? 'ipv4' : 'ipv6';
  if (family === 'ipv6' && !GLOBAL_UNICAST.check(bare, 'ipv6')) return outsideGlobalUnicast(bare);
  return denied.find(({ list }) => list.check(bare, family))?.what ?? null;
}

function outsideGlobalUnicast(address: string): string {
  const mapped = new URL(`http://[${address}]`).hostname;
  if (mapped === '[::1]') return 'a loopback address';
  if (mapped.startsWith('[::ffff:')) return 'an IPv4-mapped address';
  if (/^\[fe[89ab]/.test(mapped)) return 'a link-local address';
  if (/^\[f[cd]/.test(mapped)) return 'a private address';
  return 'not a public address';
}

/**
 * Reads a comma-separated list of CIDRs.
 *
 * @throws Error naming the entry that is none.
 */
export function parseNetworks(text: string): Networks {
  const list = new BlockList();
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
  }
  return { contains: (address) => list.check(address, isIPv6(address) ? 'ipv6' : 'ipv4') };
}

/**
 * Why a subscription may not have this URL, as a sentence, or null when it may. A name is judged
 * again by what it resolves to, each time a connection is made.
 */
export function judgeUrl(text: string, allowed: Networks): string | null {
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
  // Of the parsed URL, never of the text: 2130706433, 0x7f.1 and 127.0.0.1 are one address.
  const host = unbracketed(url.hostname);
  const what = isIP(host) !== 0 ? judgeAddress(host, allowed) : judgeName(host, allowed);
  if (what === null) return null;
  return `${host} is ${what}, which deliveries may not reach${
    what === 'a loopback address'
      ? '; for development, start with POSTHORN_ALLOW_NETWORKS=127.0.0.0/8,::1/128'
      : ''
  }`;
}

/** RFC 6761: localhost and what is under it never mean another machine. */
function judgeName(host: string, allowed: Networks): string | null {
  if (!/(^|\.)localhost\.?$/.test(host)) return null;
  return allowed.contains('127.0.0.1') || allowed.contains('::1') ? null : 'a loopback address';
}

/** The host of a URL as `isIP` and sockets want it: IPv6 without its brackets. */
export function unbracketed(hostname: string): string {
  return hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
}

/** A delivery was about to connect to an address that it may not reach. */
export class BlockedAddressError extends Error {
  override readonly name = 'BlockedAddressError';
}

type LookupCallback = (
  error: NodeJS.ErrnoException | null,
  address?: string | LookupAddress[],
  family?: number,
) => void;

/**
 * A `lookup` for sockets that refuses a name if any of its addresses is denied: what is judged is
 * what is connected to, so an answer that changes in between cannot slip through. Sockets do not
 * call it for literal addresses; the connector judges those.
 */
export function createGuardedLookup(allowed: Networks, resolve: typeof dnsLookup = dnsLookup) {
  return (hostname: string, options: LookupOptions, callback: LookupCallback): void => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) return callback(error);
      for (const { address } of addresses) {
        const what = judgeAddress(address, allowed);
        // The address itself is not told: it would show customers the inside of our network.
        if (what !== null)
          return callback(new BlockedAddressError(`${hostname} resolves to ${what}`));
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
