import t, { type Test } from 'tap';
import { errorCode } from '../../src/lib/errors.ts';
import { watchAttempts } from '../helpers/attempts.ts';
import { type Answer, startDns } from '../helpers/dns.ts';
import {
  AT_MOST,
  attempt,
  createClient,
  end,
  type Hostile,
  LATEST_MS,
  LONG_MS,
  OK,
  reachOf,
  SHORT_MS,
  startHostile,
} from '../helpers/hostile.ts';

/** 127.0.0.2 stands for the internet in these tests, all else of loopback for what is denied. */
const INTERNET = '127.0.0.2';
const OPENED = reachOf(`${INTERNET}/32`);
const GOOD = `${OK}content-length: 2\r\nconnection: close\r\n\r\nok`;

/**
 * The same port on each address, so that only the address decides who is reached. A port that is free at one of them
 * may be taken at another, and is then left.
 */
async function startReceivers(t: Test, tries = 20) {
  try {
    return await startOnOnePort(t);
  } catch (error) {
    if (errorCode(error) !== 'EADDRINUSE' || tries === 0) throw error;
    return await startReceivers(t, tries - 1);
  }
}

async function startOnOnePort(t: Test) {
  const good = await startHostile(t, end(GOOD), { host: INTERNET });
  const denied: Hostile[] = [];
  for (const host of ['127.0.0.1', '127.0.0.3', '::1'])
    denied.push(await startHostile(t, end(GOOD), { host, port: good.port }));
  return { good, denied: () => denied.flatMap(({ sockets }) => sockets).length };
}

const refused: [what: string, addresses: string[], kind: string][] = [
  ['the denied one comes last', [INTERNET, '127.0.0.3'], 'a loopback address'],
  ['the denied one comes first', ['10.0.0.1', INTERNET], 'a private address'],
  ['the denied one is of IPv6', [INTERNET, '::1'], 'a loopback address'],
  ['all are denied', ['127.0.0.1', '127.0.0.3', '::1'], 'a loopback address'],
  ['one is the metadata of a cloud', [INTERNET, '169.254.169.254'], 'a link-local address'],
  ['one is an IPv4 address in IPv6', ['::ffff:127.0.0.3'], 'an IPv4-mapped address'],
  ['one is translated by NAT64', [INTERNET, '64:ff9b::7f00:3'], 'an address that is not public'],
  ['one is translated by local NAT64', ['64:ff9b:1::7f00:3'], 'an address that is not public'],
  ['one is tunnelled by 6to4', ['2002:7f00:3::'], 'a 6to4 address'],
  ['one is tunnelled by Teredo', ['2001:0:7f00:3::'], 'a special-purpose address'],
  ['one is IPv4-compatible', ['::7f00:3'], 'an address that is not public'],
  ['one is unspecified', [INTERNET, '0.0.0.0'], 'an unspecified address'],
];

t.test('a name is not connected to if, of its addresses,', AT_MOST, async (t) => {
  const { good, denied } = await startReceivers(t);
  const attempts = watchAttempts(t);
  for (const [what, addresses, kind] of refused) {
    t.test(what, async (t) => {
      const { resolve } = await startDns(t, () => addresses);
      const client = createClient(t, LONG_MS, { ...OPENED, resolve });
      for (const scheme of ['http', 'https']) {
        const { verdict } = await attempt(client, `${scheme}://a.example:${good.port}/`);
        t.match(verdict, { status: 'blocked', errorCode: 'blocked', retry: false });
        t.match(verdict.error, `Not sent: a.example resolves to ${kind}`);
      }
    });
  }
  t.strictSame(attempts.addresses, [], 'no SYN went anywhere');
  t.equal(denied() + good.sockets.length, 0, 'and none arrived');
});

t.test('the address that was checked is the address that is connected to', AT_MOST, async (t) => {
  const { good, denied } = await startReceivers(t);
  const attempts = watchAttempts(t);
  // To the first question of each connection the internet, to all others what is denied.
  const asked = new Map<string, number>();
  const { questions, resolve } = await startDns(t, (name, type) => {
    const key = `${type} ${name}`;
    const before = asked.get(key) ?? 0;
    asked.set(key, before + 1);
    return before === 0 ? [INTERNET] : ['127.0.0.3', '::1'];
  });
  const client = createClient(t, LONG_MS, { ...OPENED, resolve });
  const url = `http://rebinding.example:${good.port}/`;
  const first = await attempt(client, url);
  t.match(first.verdict, { status: 'success' });
  t.strictSame(questions.toSorted(), ['A rebinding.example', 'AAAA rebinding.example']);
  t.strictSame(attempts.addresses, [INTERNET], 'one question, one connection, the same address');
  for (let n = 0; n < 3; n++)
    t.match(await attempt(client, url), { verdict: { errorCode: 'blocked' } });
  t.strictSame(attempts.addresses, [INTERNET]);
  t.equal(denied(), 0);
});

t.test('DNS that changes its answers leads to no other address', AT_MOST, async (t) => {
  const { good, denied } = await startReceivers(t);
  const attempts = watchAttempts(t);
  let turn = 0;
  const { resolve } = await startDns(t, (_name, type) => {
    if (type === 'AAAA') return [];
    turn += 1;
    return turn % 2 === 0 ? [INTERNET] : turn % 3 === 0 ? ['127.0.0.3'] : [INTERNET, '127.0.0.1'];
  });
  const client = createClient(t, LONG_MS, { ...OPENED, resolve });
  const outcomes = await Promise.all(
    Array.from({ length: 60 }, (_, n) => attempt(client, `http://flux${n}.example:${good.port}/`)),
  );
  const codes = outcomes.map(({ verdict }) => verdict.errorCode ?? verdict.status);
  t.strictSame([...new Set(codes)].toSorted(), ['blocked', 'success']);
  t.strictSame([...new Set(attempts.addresses)], [INTERNET]);
  t.equal(denied(), 0);
});

t.test('a kept connection stays with the address that was checked', AT_MOST, async (t) => {
  const good = await startHostile(
    t,
    (socket) => socket.on('data', () => socket.write(`${OK}content-length: 2\r\n\r\nok`)),
    { host: INTERNET },
  );
  let answer: Answer = [INTERNET];
  const { resolve } = await startDns(t, () => answer);
  const client = createClient(t, LONG_MS, { ...OPENED, resolve });
  const url = `http://a.example:${good.port}/`;
  t.match(await attempt(client, url), { verdict: { status: 'success' } });
  answer = ['127.0.0.3'];
  t.match(await attempt(client, url), { verdict: { status: 'success' } });
  t.equal(good.sockets.length, 1);
});

t.test('of several allowed addresses, one that answers is used', AT_MOST, async (t) => {
  const good = await startHostile(t, end(GOOD), { host: INTERNET });
  const { resolve } = await startDns(t, () => ['127.0.0.4', INTERNET]);
  const attempts = watchAttempts(t);
  const client = createClient(t, LONG_MS, { ...reachOf('127.0.0.2/32,127.0.0.4'), resolve });
  const { verdict } = await attempt(client, `http://a.example:${good.port}/`);
  t.match(verdict, { status: 'success' });
  t.ok(attempts.addresses.every((address) => ['127.0.0.4', INTERNET].includes(address)));
});

t.test('ports are limited for names too, except on loopback', async (t) => {
  const attempts = watchAttempts(t);
  const { questions, resolve } = await startDns(t, (name) =>
    name === 'inside.example' ? ['10.1.2.3'] : name === 'local.example' ? [INTERNET] : ['8.8.8.8'],
  );
  const post = (url: string, reach = reachOf('127.0.0.2/32,10.0.0.0/8')) =>
    attempt(createClient(t, LONG_MS, { ...reach, resolve }), url);
  for (const name of ['inside', 'outside'])
    t.match((await post(`http://${name}.example:3000/`)).verdict, {
      status: 'blocked',
      error: `Not sent: the URL's port is open on loopback only, and ${name}.example resolves to another address.`,
    });
  t.strictSame(attempts.addresses, []);
  const asked = questions.length;
  const shut = await post('http://outside.example:3000/', reachOf('', '8080'));
  t.equal(
    shut.verdict.error,
    "Not sent: the URL's port is 3000, and deliveries go to ports 80, 443, 8080 only.",
  );
  t.equal(questions.length, asked, 'DNS is not asked in vain');
  const good = await startHostile(t, end(GOOD), { host: INTERNET });
  const { verdict } = await post(`http://local.example:${good.port}/`);
  t.match(verdict, { status: 'success' });
});

t.test('an unknown name and slow DNS have different errors', AT_MOST, async (t) => {
  const answers: Record<string, Answer> = {
    'none.example': 'NXDOMAIN',
    'empty.example': [],
    'broken.example': 'SERVFAIL',
    'silent.example': 'silence',
  };
  const { resolve } = await startDns(t, (name) => answers[name] ?? [], 300);
  const client = createClient(t, LONG_MS, { ...OPENED, resolve });
  for (const name of Object.keys(answers)) {
    const { verdict } = await attempt(client, `http://${name}/`);
    t.match(verdict, { status: 'failed', errorCode: 'dns', retry: true }, name);
  }
  const { verdict, tookMs } = await attempt(
    createClient(t, SHORT_MS, { ...OPENED, resolve: () => {} }),
    'http://a.example/',
  );
  t.match(verdict, { status: 'timeout', errorCode: 'timeout_connect' });
  t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
});
