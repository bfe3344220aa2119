import { once } from 'node:events';
import { createServer } from 'node:net';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { parseEgressProxy } from '../../src/http/egress-proxy.ts';
import { certify, trust } from '../helpers/certificates.ts';
import {
  AT_MOST,
  type Attack,
  attempt,
  breakOff,
  createClient,
  drip,
  end,
  LATEST_MS,
  LONG_MS,
  NOISE,
  OK,
  on,
  reachOf,
  SHORT_MS,
  say,
  startHostile,
} from '../helpers/hostile.ts';
import { startProxy } from '../helpers/proxy.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

const GOOD = `${OK}content-length: 2\r\n\r\nok`;
const PASSWORD = 'canary/pass:word';
const CREDENTIALS = `Basic ${Buffer.from(`user:${PASSWORD}`).toString('base64')}`;
const NONE = reachOf('');

/** A client whose deliveries leave by a proxy on this port, and which must not ask DNS. */
function clientBehind(t: Test, port: number, { timeoutMs = LONG_MS, reach = NONE } = {}) {
  const egressProxy = parseEgressProxy(
    `http://user:${encodeURIComponent(PASSWORD)}@127.0.0.1:${port}`,
  );
  return createClient(t, timeoutMs, {
    ...reach,
    egressProxy,
    resolve: () => {
      throw new Error('DNS was asked');
    },
  });
}

t.test('a delivery leaves by the proxy, which resolves the name', AT_MOST, async (t) => {
  let request = '';
  const receiver = await startHostile(t, (socket) =>
    socket.on('data', (chunk) => {
      request += chunk;
      socket.write(GOOD);
    }),
  );
  const proxy = await startProxy(t, () => ({ port: receiver.port }));
  const client = clientBehind(t, proxy.port);
  const first = await attempt(client, 'http://receiver.example/hook?a=1');
  t.match(first, { verdict: { status: 'success' }, answer: { statusCode: 200, excerpt: 'ok' } });
  t.match(proxy.asked, [
    {
      method: 'CONNECT',
      url: 'receiver.example:80',
      headers: { host: 'receiver.example:80', 'proxy-authorization': CREDENTIALS },
    },
  ]);
  t.match(request, /^POST \/hook\?a=1 HTTP\/1\.1\r\nhost: receiver\.example\r\n/);
  t.notMatch(request, /proxy/i, 'the receiver sees nothing of the proxy');
  for (let n = 0; n < 3; n++) {
    await nextTurn();
    t.match(await attempt(client, 'http://receiver.example/'), { verdict: { status: 'success' } });
  }
  t.equal(proxy.asked.length, 1, 'and the tunnel is kept for the webhooks that follow');
});

t.test('addresses and ports are put to the proxy as URLs have them', AT_MOST, async (t) => {
  const receiver = await startHostile(t, end(GOOD));
  const proxy = await startProxy(t, () => ({ port: receiver.port }));
  const client = clientBehind(t, proxy.port, { reach: reachOf('127.0.0.1', '8080') });
  for (const authority of ['8.8.8.8', '[2606:4700::1111]:8080', 'a.example:8080', 'localhost:3000'])
    t.match(await attempt(client, `http://${authority}/`), { verdict: { status: 'success' } });
  t.strictSame(
    proxy.asked.map(({ url }) => url),
    ['8.8.8.8:80', '[2606:4700::1111]:8080', 'a.example:8080', 'localhost:3000'],
  );
});

t.test('TLS is spoken with the receiver and verified, through the tunnel', AT_MOST, async (t) => {
  const certificate = certify(t, ['DNS:receiver.example']);
  const names: (string | false | null)[] = [];
  const server = createTlsServer(certificate, (socket) => names.push(socket.servername));
  let received = 0;
  const receiver = await startHostile(
    t,
    (socket) =>
      socket.on('data', () => {
        received += 1;
        socket.write(GOOD);
      }),
    { server, event: 'secureConnection' },
  );
  const proxy = await startProxy(t, () => ({ port: receiver.port }));
  const post = (url: string) => attempt(clientBehind(t, proxy.port), url);
  t.match((await post('https://receiver.example/')).verdict, {
    errorCode: 'tls',
    error: /self-signed/,
  });
  trust(t, certificate);
  t.match((await post('https://receiver.example/')).verdict, { status: 'success' });
  t.equal(received, 1);
  t.match((await post('https://receiver.example./')).verdict, { status: 'success' });
  t.equal(names.at(-1), 'receiver.example');
  t.equal(received, 2);
  for (const host of ['other.example', '8.8.8.8'])
    t.match(
      (await post(`https://${host}/`)).verdict,
      { errorCode: 'tls', error: /does not match/ },
      host,
    );
  t.equal(received, 2);
  t.equal(proxy.asked[0]?.url, 'receiver.example:443');
});

t.test('what can be known is judged before the proxy is asked', AT_MOST, async (t) => {
  const proxy = await startProxy(t, () => ({ refuse: 500 }));
  const client = clientBehind(t, proxy.port);
  for (const authority of [
    '127.0.0.1',
    '0x7f.1',
    '10.1.2.3',
    '169.254.169.254',
    '[::1]',
    '[64:ff9b::7f00:1]',
    'localhost',
    'a.localhost.',
    'a.example:8080',
    '8.8.8.8:22',
  ])
    for (const scheme of ['http', 'https'])
      t.match(
        (await attempt(client, `${scheme}://${authority}/`)).verdict,
        { status: 'blocked', errorCode: 'blocked', retry: false },
        authority,
      );
  const opened = clientBehind(t, proxy.port, { reach: reachOf('127.0.0.0/8') });
  t.match((await attempt(opened, `http://127.0.0.1:${proxy.port}/`)).verdict, {
    errorCode: 'blocked',
    error: /is the egress proxy/,
  });
  const named = createClient(t, LONG_MS, {
    ...reachOf('127.0.0.0/8'),
    egressProxy: parseEgressProxy(`http://localhost:${proxy.port}`),
  });
  for (const host of ['localhost', 'localhost.'])
    t.match((await attempt(named, `http://${host}:${proxy.port}/`)).verdict, {
      errorCode: 'blocked',
      error: /is the egress proxy/,
    });
  t.equal(proxy.asked.length, 0);
});

const refusals: [status: number, says: string][] = [
  [
    407,
    'The egress proxy refused the connection (407 Proxy Authentication Required): it denies this receiver, or wants other credentials.',
  ],
  [403, 'The egress proxy refused the connection (403 Forbidden).'],
  [302, 'The egress proxy refused the connection (302 Found).'],
  [502, 'The egress proxy could not connect to the receiver (502 Bad Gateway).'],
  [503, 'The egress proxy could not connect to the receiver (503 Service Unavailable).'],
  [504, 'The egress proxy could not connect to the receiver (504 Gateway Timeout).'],
];

t.test('a refusal of the proxy is told as its own, without its secrets', AT_MOST, async (t) => {
  for (const [refuse, says] of refusals) {
    const proxy = await startProxy(t, () => ({ refuse }));
    const client = clientBehind(t, proxy.port);
    for (const scheme of ['http', 'https']) {
      const { verdict } = await attempt(client, `${scheme}://receiver.example/`);
      t.match(verdict, { status: 'failed', errorCode: 'proxy', retry: true });
      t.equal(verdict.error, says);
    }
    t.equal(proxy.asked.length, 2, 'it is asked once an attempt');
  }
});

const broken: [name: string, attack: Attack, says: RegExp][] = [
  ['closes at once', (socket) => socket.destroy(), /closed the connection/],
  ['closes instead of an answer', on((socket) => socket.end()), /closed the connection/],
  ['resets instead of an answer', on((socket) => socket.resetAndDestroy()), /closed the conn/],
  ['closes within its answer', end('HTTP/1.1 200 OK\r\nvia'), /closed the connection/],
  ['speaks noise', say(NOISE), /does not answer in HTTP/],
  ['sends a header of 64 KiB', say(`${OK}a: ${'x'.repeat(65_536)}\r\n\r\n`), /not answer in HTTP/],
];

for (const [name, attack, says] of broken) {
  t.test(`an attempt fails, and can be repeated, when the proxy ${name}`, AT_MOST, async (t) => {
    const proxy = await startHostile(t, attack);
    const { verdict } = await attempt(clientBehind(t, proxy.port), 'https://receiver.example/');
    t.match(verdict, { status: 'failed', errorCode: 'proxy', error: says, retry: true });
    t.notMatch(JSON.stringify(verdict), /127\.0\.0\.1|canary|Basic/);
    await proxy.closed();
  });
}

t.test('a proxy that is not there is told', AT_MOST, async (t) => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  const { verdict } = await attempt(clientBehind(t, port), 'https://receiver.example/');
  t.match(verdict, { status: 'failed', errorCode: 'proxy', retry: true });
  t.equal(verdict.error, 'The egress proxy cannot be reached (ECONNREFUSED).');
});

const TUNNEL = 'HTTP/1.1 200 OK\r\n\r\n';

t.test('what a receiver says together with the opening of its tunnel is heard', async (t) => {
  const proxy = await startHostile(t, say(TUNNEL + GOOD));
  const outcome = await attempt(clientBehind(t, proxy.port), 'http://receiver.example/');
  t.match(outcome, { answer: { statusCode: 200, excerpt: 'ok' } });
  t.equal(proxy.sockets.length, 1, 'at once, and not by one connection after another');
});

t.test('a tunnel that closes at once is a receiver that closes', AT_MOST, async (t) => {
  for (const attack of [end(TUNNEL), breakOff(TUNNEL)])
    for (const scheme of ['http', 'https']) {
      const proxy = await startHostile(t, attack);
      const { verdict } = await attempt(
        clientBehind(t, proxy.port),
        `${scheme}://receiver.example/`,
      );
      t.match(verdict, { status: 'failed', errorCode: 'reset', retry: true });
      t.equal(proxy.sockets.length, 1);
    }
});

const slow: [name: string, attack: Attack, scheme: string, errorCode: string][] = [
  ['takes the connection and says nothing', () => {}, 'http', 'timeout_connect'],
  ['drips its answer', drip(OK, 'a: b\r\n'), 'http', 'timeout_connect'],
  ['opens a tunnel in which no TLS comes', say(TUNNEL), 'https', 'timeout_connect'],
  [
    'opens a tunnel in which TLS drips',
    drip(`${TUNNEL}\x16\x03\x03\x40\x00`, '\0'),
    'https',
    'timeout_connect',
  ],
  ['opens a tunnel in which no answer comes', say(TUNNEL), 'http', 'timeout_response'],
];

t.test('an attempt takes no longer than its time with a proxy that', async (t) => {
  t.jobs = slow.length;
  for (const [name, attack, scheme, errorCode] of slow) {
    t.test(name, AT_MOST, async (t) => {
      const proxy = await startHostile(t, attack);
      const client = clientBehind(t, proxy.port, { timeoutMs: SHORT_MS });
      const { verdict, tookMs } = await attempt(client, `${scheme}://receiver.example/`);
      t.match(verdict, { status: 'timeout', errorCode, retry: true });
      t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
      await proxy.closed();
      t.equal(proxy.sockets.length, 1, 'one tunnel was asked for, and its connection closed');
    });
  }
});

t.test('the service delivers by the proxy, and shows its credentials nowhere', async (t) => {
  const receiver = await startHostile(t, end(`${OK}content-length: 2\r\n\r\nok`));
  let refusing = true;
  const proxy = await startProxy(t, () => (refusing ? { refuse: 407 } : { port: receiver.port }));
  const lines: string[] = [];
  const log = pino({ level: 'trace' }, { write: (line) => void lines.push(line) });
  const posthorn = await startTestService(
    t,
    {
      POSTHORN_ALLOW_NETWORKS: '',
      POSTHORN_EGRESS_PROXY: `http://user:${encodeURIComponent(PASSWORD)}@127.0.0.1:${proxy.port}`,
    },
    log,
  );
  const id = await posthorn.subscribe('http://receiver.example/hook');
  const webhookId = await posthorn.ingest(id);
  const history = async () => (await posthorn.request('GET', `/v1/webhooks/${webhookId}`)).text;
  await until('an attempt was refused', async () => /"error_code":"proxy"/.test(await history()));
  refusing = false;
  await until('it is delivered', async () => /"state":"succeeded"/.test(await history()));
  const logged = lines.join('');
  for (const text of [logged, await history()])
    t.notMatch(text, /canary|10\.1\.2\.3/, 'nor what the proxy gave as its reason');
  t.match(logged, /posthorn is up/, 'although there is a log');
  t.notOk(logged.includes(CREDENTIALS.slice(6)));
});
