import type { lookup as dnsLookup, LookupAddress, LookupOptions } from 'node:dns';
import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import t from 'tap';
import {
  BlockedAddressError,
  createGuardedLookup,
  judgeAddress,
  judgeUrl,
  parseNetworks,
} from '../../src/delivery/address-guard.ts';

const none = parseNetworks('');

/** What is not the public internet, after the IANA special-purpose registries. */
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

function toAddress(number: bigint, bits: number): string {
  if (bits === 32) {
    return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 255n).join('.');
  }
  return Array.from({ length: 8 }, (_, part) =>
    ((number >> BigInt(112 - 16 * part)) & 0xffffn).toString(16),
  ).join(':');
}

interface Network {
  readonly cidr: string;
  readonly bits: 32 | 128;
  readonly first: bigint;
  readonly last: bigint;
}

function networkOf(cidr: string): Network {
  const [address = '', prefix] = cidr.split('/');
  const bits = isIPv4(address) ? 32 : 128;
  const size = 1n << BigInt(bits - Number(prefix));
  const first = (toNumber(address) / size) * size;
  return { cidr, bits, first, last: first + size - 1n };
}

const networks = DENIED.map(networkOf);
const contains = (network: Network, number: bigint, bits: number) =>
  network.bits === bits && network.first <= number && number <= network.last;
const isDenied = (number: bigint, bits: number) =>
  networks.some((network) => contains(network, number, bits));

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

t.test('the edges of denied networks are open on the public side', async (t) => {
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

t.test('a refusal says what the address is', async (t) => {
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
    ['64:ff9b::8.8.8.8', 'not a public address'],
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

/** Anywhere, and often next to where a verdict changes. */
function anyNumber(bits: 32 | 128): fc.Arbitrary<bigint> {
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
        const judged = judgeAddress(toAddress(number, bits), parseNetworks(cidrs.join(', ')));
        return (judged === null) === (opened || !isDenied(number, bits));
      }),
      { numRuns: 2_000 },
    );
  }
});

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

t.test('a subscription cannot have a loopback or private address in any spelling', async (t) => {
  for (const host of [
    // All of these are 127.0.0.1.
    '127.0.0.1',
    '127.0.0.1:8080',
    '127.0.0.1.',
    '2130706433',
    '0x7f000001',
    '0X7F000001',
    '017700000001',
    '0177.0.0.1',
    '0x7f.0.0.0x1',
    '0x7f.1',
    '127.1',
    '127.0.1',
    '127.0.0.1#@example.com',
    '@127.0.0.1',
    '１２７.０.０.１',
    '１２７．０．０．１',
    '①②⑦.⓪.⓪.①',
    '127。0。0。1',
    '%31%32%37.0.0.1',
    '12\t7.0.0.1',
    '127.0.0.1\\@example.com',
    // And these reach this machine, or one that translates.
    '0',
    '0.0.0.0',
    '[::]',
    '[::1]',
    '[0:0:0:0:0:0:0:1]',
    '[::127.0.0.1]',
    '[::ffff:127.0.0.1]',
    '[::ffff:7f00:1]',
    '[::ffff:0:127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    '[64:ff9b:1::127.0.0.1]',
    '[2002:7f00:1::]',
    '[2001:0:7f00:1::]',
    'localhost',
    'localhost.',
    'localhost:8080',
    'LocalHost',
    'sub.localhost',
    'a.b.localhost.',
    'ｌｏｃａｌｈｏｓｔ',
    'loc%61lhost',
    'local\u00adhost',
    // The metadata of clouds.
    '169.254.169.254',
    '0xa9fea9fe',
    '2852039166',
    '[::ffff:169.254.169.254]',
    '[fd00:ec2::254]',
    '168.63.129.16',
    // And the private ones.
    '10.1',
    '192.168.257',
    '0xc0a80101',
    '[fd00::1]',
    '[fe80::1]',
  ]) {
    for (const scheme of ['http', 'https']) {
      const problem = judgeUrl(`${scheme}://${host}/hook?a=1`, none);
      t.match(problem, /which deliveries may not reach/, `${scheme}://${host}`);
    }
  }
  for (const url of ['http:127.0.0.1', 'http:\\\\127.0.0.1\\', 'https:///127.0.0.1', 'http:/\n/0'])
    t.match(judgeUrl(url, none), /which deliveries may not reach/, JSON.stringify(url));
});

/** The ways to write an IPv4 address that URLs know. */
const spelling = fc
  .record({
    number: anyNumber(32),
    parts: fc.integer({ min: 1, max: 4 }),
    bases: fc.array(fc.constantFrom('dec', 'hex', 'oct'), { minLength: 4, maxLength: 4 }),
    wide: fc.boolean(),
    dot: fc.constantFrom('', '.'),
  })
  .map(({ number, parts, bases, wide, dot }) => {
    const tail = BigInt(8 * (5 - parts));
    const numbers = [
      ...[24n, 16n, 8n].slice(0, parts - 1).map((shift) => (number >> shift) & 255n),
      number & ((1n << tail) - 1n),
    ];
    const text = numbers
      .map((part, index) => {
        if (bases[index] === 'hex') return `0x${part.toString(16)}`;
        return bases[index] === 'oct' ? `0${part.toString(8)}` : part.toString();
      })
      .join('.');
    const shown = wide
      ? text.replace(/[0-9]/g, (digit) => String.fromCharCode(digit.charCodeAt(0) + 0xfee0))
      : text;
    return { address: toAddress(number, 32), host: shown + dot };
  });

t.test('an address is judged alike in all its spellings', async () => {
  fc.assert(
    fc.property(spelling, ({ address, host }) => {
      const plain = judgeAddress(address, none);
      const problem = judgeUrl(`https://${host}/`, none);
      return plain === null
        ? problem === null
        : (problem ?? '').startsWith(`${address} is ${plain},`);
    }),
    { numRuns: 5_000 },
  );
});

t.test('an IPv4 address is not reached through IPv6, whatever carries it', async () => {
  fc.assert(
    fc.property(
      anyNumber(32),
      fc.constantFrom('::', '::ffff:', '::ffff:0:', '64:ff9b::', '64:ff9b:1::'),
      (number, carrier) => judgeUrl(`http://[${carrier}${toAddress(number, 32)}]/`, none) !== null,
    ),
    { numRuns: 2_000 },
  );
});

t.test('public URLs are taken as they are', async (t) => {
  for (const url of [
    'https://example.com',
    'https://example.com/webhooks?a=b#c',
    'http://example.com:8080/',
    'HTTPS://EXAMPLE.COM/',
    'https://example.com./',
    'https://bücher.example/',
    'https://xn--bcher-kva.example/',
    'https://8.8.8.8/',
    'https://[2606:4700::1111]/',
    'https://localhost.example.com/',
    'https://notlocalhost/',
    'https://127.0.0.1.example.com/',
    'https://10.example/',
  ]) {
    t.equal(judgeUrl(url, none), null, url);
  }
});

t.test('a URL that cannot be delivered to is refused with the reason', async (t) => {
  const cases: [url: string, why: RegExp][] = [
    ['', /not an absolute URL such as https:\/\/example\.com\/webhooks/],
    ['example.com/webhooks', /not an absolute URL/],
    ['//example.com/webhooks', /not an absolute URL/],
    ['/webhooks', /not an absolute URL/],
    ['https://', /not an absolute URL/],
    ['https://256.0.0.1/', /not an absolute URL/],
    ['https://127.0.0.08/', /not an absolute URL/],
    ['https://[::1%25lo]/', /not an absolute URL/],
    ['https://example.com:99999/', /not an absolute URL/],
    ['https://exa mple.com/', /not an absolute URL/],
    ['ftp://example.com/', /its scheme is ftp; only https and http/],
    ['file:///etc/passwd', /its scheme is file/],
    ['javascript:alert(1)', /its scheme is javascript/],
    ['localhost:8080/hook', /its scheme is localhost/],
    ['https://user:password@example.com/', /contains a user name or password/],
    ['https://user@example.com/', /contains a user name/],
    ['https://:password@example.com/', /contains a user name or password/],
    ['http://localhost/', /POSTHORN_ALLOW_NETWORKS=127\.0\.0\.0\/8,::1\/128/],
    ['http://127.0.0.1/', /POSTHORN_ALLOW_NETWORKS=127\.0\.0\.0\/8,::1\/128/],
    ['http://10.0.0.1/', /^10\.0\.0\.1 is a private address, which deliveries may not reach$/],
  ];
  for (const [url, why] of cases) t.match(judgeUrl(url, none), why, url);
});

t.test('what the operator opened can be subscribed to', async (t) => {
  const opened = parseNetworks('127.0.0.0/8,fd00::/8');
  for (const url of [
    'http://127.0.0.1:3000/',
    'http://127.1/',
    'http://localhost:3000/',
    'http://sub.localhost/',
    'http://[fd00::1]/',
  ]) {
    t.equal(judgeUrl(url, opened), null, url);
  }
  for (const url of ['http://10.0.0.1/', 'http://[::1]/', 'http://[fe80::1]/', 'ftp://127.0.0.1/'])
    t.type(judgeUrl(url, opened), 'string', url);
});

interface Looked {
  readonly error: NodeJS.ErrnoException | null;
  readonly address: string | LookupAddress[] | undefined;
  readonly family: number | undefined;
}

/** Looks `a.example` up through the guard, where DNS answers with these addresses. */
function lookUp(
  answer: string[] | Error,
  options: LookupOptions = {},
  allowed = none,
): Looked & { readonly asked: LookupOptions[] } {
  const asked: LookupOptions[] = [];
  const resolve = ((
    _hostname: string,
    askedOptions: LookupOptions,
    callback: (error: Error | null, addresses?: LookupAddress[]) => void,
  ) => {
    asked.push(askedOptions);
    if (answer instanceof Error) callback(answer);
    else
      callback(
        null,
        answer.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 })),
      );
  }) as unknown as typeof dnsLookup;
  const lookup = createGuardedLookup(allowed, resolve);
  const answers: Looked[] = [];
  lookup('a.example', options, (error, address, family) => {
    answers.push({ error, address, family });
  });
  if (answers.length !== 1) throw new Error(`called back ${answers.length} times`);
  return { ...(answers[0] as Looked), asked };
}

t.test('a name is connected to by the very addresses that were judged', async (t) => {
  const addresses = ['8.8.8.8', '2606:4700::1111'];
  const all = lookUp(addresses, { all: true, hints: 32 });
  t.match(all, {
    error: null,
    address: [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ],
  });
  t.strictSame(all.asked, [{ all: true, hints: 32 }], 'one question, for all addresses');
  const one = lookUp(addresses, { family: 4 });
  t.match(one, { error: null, address: '8.8.8.8', family: 4 });
  t.strictSame(one.asked, [{ all: true, family: 4 }]);
});

const addressOf = (bits: 32 | 128) => anyNumber(bits).map((number) => ({ number, bits }));
const anyAddress = fc.oneof(addressOf(32), addressOf(128));

t.test('a name with a denied address among its addresses is not connected to', async () => {
  fc.assert(
    fc.property(
      fc.array(anyAddress, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (addresses, all) => {
        const texts = addresses.map(({ number, bits }) => toAddress(number, bits));
        const { error, address } = lookUp(texts, { all });
        return addresses.some(({ number, bits }) => isDenied(number, bits))
          ? error instanceof BlockedAddressError && address === undefined
          : error === null && address !== undefined;
      },
    ),
    { numRuns: 2_000 },
  );
});

t.test('a refusal of a name never tells its address', async (t) => {
  const { error } = lookUp(['8.8.8.8', '10.1.2.3'], { all: true });
  t.equal(error?.message, 'a.example resolves to a private address');
  for (const { last, bits } of networks) {
    const address = toAddress(last, bits);
    const { error } = lookUp([address]);
    t.type(error, BlockedAddressError);
    t.notOk(JSON.stringify([error?.message, error]).includes(address), address);
  }
});

t.test('a name that leads to what the operator opened is connected to', async (t) => {
  const opened = parseNetworks('10.0.0.0/8');
  t.match(lookUp(['10.1.2.3'], {}, opened), { error: null, address: '10.1.2.3', family: 4 });
  const { error } = lookUp(['10.1.2.3', '127.0.0.1'], {}, opened);
  t.equal(error?.message, 'a.example resolves to a loopback address');
});

t.test('a name that does not resolve keeps its reason', async (t) => {
  const reason = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
  t.equal(lookUp(reason).error, reason);
  for (const all of [true, false])
    t.match(lookUp([], { all }), { error: { code: 'ENOTFOUND' }, address: undefined });
});
