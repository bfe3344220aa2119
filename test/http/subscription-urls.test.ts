import fc from 'fast-check';
import t from 'tap';
import { judgeAddress, judgeUrl } from '../../src/http/address-guard.ts';
import { anyNumber, toAddress } from '../helpers/addresses.ts';
import { reachOf } from '../helpers/hostile.ts';

const none = reachOf('');

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

t.test('all spellings of an address have the same result', async () => {
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

t.test('an IPv4 address inside an IPv6 address is checked too', async () => {
  fc.assert(
    fc.property(
      anyNumber(32),
      fc.constantFrom('::', '::ffff:', '::ffff:0:', '64:ff9b::', '64:ff9b:1::'),
      (number, carrier) => judgeUrl(`http://[${carrier}${toAddress(number, 32)}]/`, none) !== null,
    ),
    { numRuns: 2_000 },
  );
});

t.test('public URLs are accepted unchanged', async (t) => {
  for (const url of [
    'https://example.com',
    'https://example.com/webhooks?a=b#c',
    'http://example.com:443/',
    'https://example.com:80/',
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

t.test('a URL that Posthorn cannot send to is refused with the reason', async (t) => {
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

t.test('addresses that the operator allowed are accepted', async (t) => {
  const opened = reachOf('127.0.0.0/8,fd00::/8');
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

t.test('only ports 80, 443 and those that the operator allowed are accepted', async (t) => {
  const refusal = (url: string, ports = '', networks = '') =>
    judgeUrl(url, reachOf(networks, ports));
  t.equal(
    refusal('https://example.com:8080/', '9000-9100'),
    'its port is 8080, and deliveries go to ports 80, 443, 9000-9100 only; POSTHORN_ALLOW_PORTS=8080 would open it',
  );
  for (const url of ['http://8.8.8.8:22/', 'https://[2606:4700::1111]:8443/', 'http://a.b:0/'])
    t.match(refusal(url), /its port is (22|8443|0),/, url);
  for (const port of ['8080', '8080-8090', '80,8080', '*'])
    t.equal(refusal('https://example.com:8080/', port), null, port);
  t.match(refusal('http://10.0.0.1:8080/', '*'), /private/, 'a port opens no address');
});

t.test('only allowed loopback addresses are open on all ports', async (t) => {
  const opened = reachOf('127.0.0.0/8,10.0.0.0/8');
  for (const url of ['http://127.0.0.1:1/', 'http://127.9.9.9:65535/', 'http://localhost:3000/'])
    t.equal(judgeUrl(url, opened), null, url);
  for (const url of ['http://10.0.0.1:3000/', 'http://8.8.8.8:3000/', 'http://myapp.test:3000/'])
    t.match(judgeUrl(url, opened), /its port is 3000/, url);
  t.equal(judgeUrl('http://10.0.0.1/', opened), null);
  t.match(judgeUrl('http://[::1]:3000/', opened), /a loopback address/, 'what was not opened');
});
