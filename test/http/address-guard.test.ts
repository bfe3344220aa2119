import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import t from 'tap';
import { judgeAddress, parseNetworks } from '../../src/http/address-guard.ts';
import {
  anyNumber,
  contains,
  isDenied,
  networkOf,
  networks,
  toAddress,
} from '../helpers/addresses.ts';
import { reachOf } from '../helpers/hostile.ts';

const none = reachOf('');

for (const network of networks) {
  const { cidr, bits, first, last } = network;
  t.test(`deliveries do not reach ${cidr}: first, last, and no further`, async (t) => {
    for (const inside of [first, last, (first + last) / 2n]) {
      const address = toAddress(inside, bits);
      t.type(judgeAddress(address, none), 'string', address);
    }
    for (const outside of [first - 1n, last + 1n]) {
      if (outside < 0n || outside >= 1n << BigInt(bits)) continue;
      const address = toAddress(outside, bits);
      const judged = judgeAddress(address, none);
      if (isDenied(outside, bits)) t.type(judged, 'string', `${address}, of another network`);
      else t.equal(judged, null, address);
    }
  });
}

t.test('the addresses next to denied networks are allowed if they are public', async (t) => {
  for (const address of [
    '1.0.0.0',
    '9.255.255.255',
    '11.0.0.0',
    '100.63.255.255',
    '100.128.0.0',
    '126.255.255.255',
    '128.0.0.0',
    '168.63.129.15',
    '168.63.129.17',
    '169.253.255.255',
    '169.255.0.0',
    '172.15.255.255',
    '172.32.0.0',
    '192.0.1.0',
    '192.167.255.255',
    '192.169.0.0',
    '198.17.255.255',
    '198.20.0.0',
    '223.255.255.255',
    '2000::',
    '2001:200::',
    '2001:db7:ffff:ffff:ffff:ffff:ffff:ffff',
    '2001:db9::',
    '2003::',
    '3fff:1000::',
    '3fff:ffff:ffff:ffff:ffff:ffff:ffff:ffff',
    '8.8.8.8',
    '2606:4700::1111',
  ]) {
    t.equal(judgeAddress(address, none), null, address);
  }
});

t.test('an error says which kind of address was refused', async (t) => {
  for (const [address, what] of [
    ['127.0.0.1', 'a loopback address'],
    ['::1', 'a loopback address'],
    ['10.1.2.3', 'a private address'],
    ['fd00::1', 'a private address'],
    ['169.254.169.254', 'a link-local address'],
    ['fe80::1', 'a link-local address'],
    ['fe80::1%eth0', 'a link-local address'],
    ['168.63.129.16', 'a cloud metadata address'],
    ['::ffff:8.8.8.8', 'an IPv4-mapped address'],
    ['64:ff9b::8.8.8.8', 'an address that is not public'],
    ['2002:808:808::', 'a 6to4 address'],
    ['0.0.0.0', 'an unspecified address'],
    ['255.255.255.255', 'a reserved address'],
    ['example.com', 'not an IP address'],
    ['', 'not an IP address'],
    ['127.1', 'not an IP address'],
    ['[::1]', 'not an IP address'],
  ] as const) {
    t.equal(judgeAddress(address, none), what, address);
  }
});

t.test('any IPv4 address is judged as ipaddr.js judges it', async () => {
  fc.assert(
    fc.property(anyNumber(32), (number) => {
      const address = toAddress(number, 32);
      const range = ipaddr.IPv4.parse(address).range();
      // These two are in the registry, and globally reachable.
      const open = ['unicast', 'as112', 'amt'].includes(range) && address !== '168.63.129.16';
      return (judgeAddress(address, none) === null) === open;
    }),
    { numRuns: 50_000 },
  );
});

t.test('any IPv6 address is judged as ipaddr.js judges it', async () => {
  fc.assert(
    fc.property(anyNumber(128), (number) => {
      const parsed = ipaddr.IPv6.parse(toAddress(number, 128));
      const [first = 0] = parsed.parts;
      const range = parsed.range();
      const open =
        first >> 13 === 1 && (range === 'unicast' || (range === 'as112v6' && first === 0x2620));
      return [parsed.toString(), parsed.toNormalizedString(), `${parsed.toString()}%eth0`].every(
        (spelling) => (judgeAddress(spelling, none) === null) === open,
      );
    }),
    { numRuns: 50_000 },
  );
});

t.test('an opened network opens what is in it, and nothing else', async () => {
  const cidr = (bits: 32 | 128) =>
    fc
      .tuple(anyNumber(bits), fc.integer({ min: 0, max: bits }))
      .map(([number, prefix]) => `${toAddress(number, bits)}/${prefix}`);
  for (const bits of [32, 128] as const) {
    fc.assert(
      fc.property(fc.array(cidr(bits), { maxLength: 3 }), anyNumber(bits), (cidrs, number) => {
        const opened = cidrs.some((text) => contains(networkOf(text), number, bits));
        const judged = judgeAddress(toAddress(number, bits), reachOf(cidrs.join(', ')));
        return (judged === null) === (opened || !isDenied(number, bits));
      }),
      { numRuns: 2_000 },
    );
  }
});

t.test(
  'a network that the operator closed is closed, even where another setting opens it',
  async (t) => {
    // Public, one of a NAT64 of the operator's own, and one within what is opened.
    const reach = reachOf('10.0.0.0/8', '', '8.8.8.0/24, 2a00:1234:0:64::/96, 10.7.0.0/16');
    for (const address of ['8.8.8.8', '2a00:1234:0:64::a00:1', '10.7.0.1', '::ffff:8.8.8.8'])
      t.equal(judgeAddress(address, reach), 'a denied address', address);
    for (const address of ['8.8.9.8', '2a00:1234:0:65::a00:1', '10.8.0.1'])
      t.equal(judgeAddress(address, reach), null, address);
  },
);

t.test('networks are read as CIDRs, and what is none is named', async (t) => {
  const good: [text: string, within: string[], outside: string[]][] = [
    ['', [], ['127.0.0.1', '::1', '10.0.0.0']],
    [' , ', [], ['127.0.0.1']],
    ['127.0.0.0/8,::1/128', ['127.0.0.1', '127.255.255.255', '::1'], ['128.0.0.0', '::2']],
    [' 10.0.0.0/8 , fd00::/8 ,', ['10.1.2.3', 'fd12::1'], ['11.0.0.0', 'fc00::1']],
    ['192.168.1.7', ['192.168.1.7'], ['192.168.1.6', '192.168.1.8']],
    ['fd00::7', ['fd00::7'], ['fd00::6', 'fd00::8']],
    ['10.1.2.3/8', ['10.0.0.0', '10.255.255.255'], ['9.255.255.255']],
    ['0.0.0.0/0', ['0.0.0.0', '255.255.255.255'], ['::1']],
    ['10.0.0.0/31', ['10.0.0.0', '10.0.0.1'], ['10.0.0.2']],
  ];
  for (const [text, within, outside] of good) {
    const networks = parseNetworks(text);
    for (const address of within) t.ok(networks.contains(address), `${address} in "${text}"`);
    for (const address of outside)
      t.notOk(networks.contains(address), `${address} not in "${text}"`);
  }
  for (const entry of [
    'localhost',
    '10.0.0.0/',
    '10.0.0.0/33',
    '::/129',
    '10.0.0/8',
    '010.0.0.0/8',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '10.0.0.0/8.5',
    '10.0.0.0/1e1',
    '10.0.0.0/ 8',
    '10.0.0.0 /8',
    '/8',
    '[::1]',
    '10.0.0.0-10.0.0.9',
    '10.0.0.0;10.0.0.1',
    '*',
  ]) {
    t.throws(
      () => parseNetworks(`127.0.0.0/8,${entry}`),
      { message: `"${entry}" is not a network; write 10.0.0.0/8 or fd00::/8` },
      entry,
    );
  }
});
