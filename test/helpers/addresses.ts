import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';

/** The networks outside the public internet, from the IANA special-purpose registries. */
const DENIED = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '168.63.129.16/32',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/4',
  '240.0.0.0/4',
  '255.255.255.255/32',
  // All but the eighth that is global unicast; and what in it has a name.
  '::/3',
  '4000::/2',
  '8000::/1',
  '::/128',
  '::1/128',
  '::/96',
  '::ffff:0:0/96',
  '::ffff:0:0:0/96',
  '64:ff9b::/96',
  '64:ff9b:1::/48',
  '100::/64',
  '5f00::/16',
  'fc00::/7',
  'fd00:ec2::254/128',
  'fe80::/10',
  'fec0::/10',
  'ff00::/8',
  // Within that eighth.
  '2001::/23',
  '2001::/32',
  '2001:db8::/32',
  '2002::/16',
  '3fff::/20',
];

/** Addresses as numbers, and networks as what lies between two of them. */
function toNumber(address: string): bigint {
  return ipaddr
    .parse(address)
    .toByteArray()
    .reduce((number, byte) => number * 256n + BigInt(byte), 0n);
}

export function toAddress(number: bigint, bits: number): string {
  if (bits === 32) {
    return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 255n).join('.');
  }
  return Array.from({ length: 8 }, (_, part) =>
    ((number >> BigInt(112 - 16 * part)) & 0xffffn).toString(16),
  ).join(':');
}

export interface Network {
  readonly cidr: string;
  readonly bits: 32 | 128;
  readonly first: bigint;
  readonly last: bigint;
}

export function networkOf(cidr: string): Network {
  const [address = '', prefix] = cidr.split('/');
  const bits = isIPv4(address) ? 32 : 128;
  const size = 1n << BigInt(bits - Number(prefix));
  const first = (toNumber(address) / size) * size;
  return { cidr, bits, first, last: first + size - 1n };
}

export const networks = DENIED.map(networkOf);
export const contains = (network: Network, number: bigint, bits: number) =>
  network.bits === bits && network.first <= number && number <= network.last;
export const isDenied = (number: bigint, bits: number) =>
  networks.some((network) => contains(network, number, bits));

/** Anywhere, and often next to where a verdict changes. */
export function anyNumber(bits: 32 | 128): fc.Arbitrary<bigint> {
  const max = (1n << BigInt(bits)) - 1n;
  const edges = networks
    .filter((network) => network.bits === bits)
    .flatMap(({ first, last }) => [first, last]);
  return fc.oneof(
    fc.bigInt({ min: 0n, max }),
    fc
      .tuple(fc.constantFrom(...edges), fc.bigInt({ min: -300n, max: 300n }))
      .map(([edge, distance]) => edge + distance)
      .filter((number) => number >= 0n && number <= max),
    ...(bits === 128 ? [fc.bigInt({ min: 0x2000n << 112n, max: (0x4000n << 112n) - 1n })] : []),
  );
}
