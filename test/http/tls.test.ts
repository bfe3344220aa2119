import { setTimeout as sleep } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import t from 'tap';
import { certify, trust } from '../helpers/certificates.ts';
import {
  AT_MOST,
  type Attack,
  attempt,
  createClient,
  drip,
  end,
  LATEST_MS,
  LONG_MS,
  LOOPBACK,
  NOISE,
  OK,
  on,
  SHORT_MS,
  say,
  startHostile,
} from '../helpers/hostile.ts';

/** Longer than a connection may be idle without being looked at. */
const idle = () => sleep(20);

const hanging: [name: string, attack: Attack][] = [
  ['says nothing', () => {}],
  ['sends the beginning of a record', say(Buffer.from([22, 3, 3, 0x40, 0, 2]))],
  ['drips a record', drip('\x16\x03\x03\x40\x00', '\0')],
];

for (const [name, attack] of hanging) {
  t.test(`a receiver that ${name} in the TLS handshake ends its attempt`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, SHORT_MS);
    const { verdict, tookMs } = await attempt(client, `https://${receiver.authority}/`);
    t.match(verdict, { status: 'timeout', errorCode: 'timeout_connect', retry: true });
    t.ok(tookMs < LATEST_MS, `${tookMs} ms`);
    await receiver.closed();
  });
}

const handshakes: [name: string, attack: Attack, errorCode: string][] = [
  ['speaks plain HTTP', end('HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n'), 'tls'],
  ['speaks noise', say(NOISE), 'tls'],
  ['refuses the handshake', end(Buffer.from([21, 3, 3, 0, 2, 2, 40])), 'tls'],
  ['closes in the handshake', end(''), 'reset'],
  ['resets in the handshake', on((socket) => socket.resetAndDestroy()), 'reset'],
];

for (const [name, attack, errorCode] of handshakes) {
  t.test(`an attempt at https fails when a receiver ${name}`, AT_MOST, async (t) => {
    const receiver = await startHostile(t, attack);
    const client = createClient(t, LONG_MS);
    const { verdict } = await attempt(client, `https://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode, retry: true });
    t.notMatch(verdict.error, /routines|\n/, 'OpenSSL is not quoted at length');
    await receiver.closed();
  });
}

t.test('nothing is sent to a receiver with a self-signed certificate', AT_MOST, async (t) => {
  let received = 0;
  const server = createTlsServer(certify(t, ['IP:127.0.0.1']));
  const receiver = await startHostile(t, (socket) => socket.on('data', () => received++), {
    server,
    event: 'secureConnection',
  });
  const client = createClient(t, LONG_MS);
  const { verdict } = await attempt(client, `https://${receiver.authority}/`);
  t.match(verdict, { status: 'failed', errorCode: 'tls', error: /self-signed/, retry: true });
  t.equal(received, 0);
});

t.test("the certificate must have the name of the receiver's URL", AT_MOST, async (t) => {
  const good = certify(t, ['DNS:localhost']);
  trust(t, good);
  const receiver = await startHostile(t, end(`${OK}content-length: 0\r\n\r\n`), {
    server: createTlsServer(good),
    event: 'secureConnection',
  });
  const client = createClient(t, LONG_MS);
  const named = await attempt(client, `https://localhost:${receiver.port}/`);
  t.match(named.verdict, { status: 'success' });
  const other = await attempt(client, `https://${receiver.authority}/`);
  t.match(other.verdict, { status: 'failed', errorCode: 'tls', error: /does not match/ });
});

t.test('a dot at the end of a name is in the Host header, and not in TLS', AT_MOST, async (t) => {
  const certificate = certify(t, ['DNS:hooks.example']);
  trust(t, certificate);
  const names: (string | false | null)[] = [];
  let request = '';
  const server = createTlsServer(certificate, (socket) => names.push(socket.servername));
  const receiver = await startHostile(
    t,
    (socket) =>
      socket.on('data', (bytes) => {
        request = bytes.toString('latin1');
        socket.end(`${OK}content-length: 0\r\n\r\n`);
      }),
    { server, event: 'secureConnection' },
  );
  const resolved: string[] = [];
  const client = createClient(t, LONG_MS, {
    ...LOOPBACK,
    resolve: (hostname, _options, callback) => {
      resolved.push(hostname);
      callback(null, [{ address: '127.0.0.1', family: 4 }]);
    },
  });
  for (const host of ['hooks.example.', 'hooks.example']) {
    const { verdict } = await attempt(client, `https://${host}:${receiver.port}/`);
    t.match(verdict, { status: 'success' }, host);
    // As curl and Go have it.
    t.match(request, `host: ${host}:${receiver.port}\r\n`);
  }
  t.strictSame(names, ['hooks.example', 'hooks.example']);
  t.strictSame(resolved, ['hooks.example.', 'hooks.example'], 'DNS is asked for the absolute name');
  const { verdict } = await attempt(client, `https://other.example.:${receiver.port}/`);
  t.match(verdict, { errorCode: 'tls', error: /does not match/ });
});

t.test('a literal address is not sent as a server name (SNI)', AT_MOST, async (t) => {
  const certificate = certify(t, ['IP:127.0.0.1', 'IP:::1']);
  trust(t, certificate);
  const client = createClient(t, LONG_MS);
  for (const host of ['127.0.0.1', '::1']) {
    const names: (string | false | null)[] = [];
    const server = createTlsServer(certificate, (socket) => names.push(socket.servername));
    const receiver = await startHostile(t, end(`${OK}content-length: 0\r\n\r\n`), {
      server,
      event: 'secureConnection',
      host,
    });
    const { verdict } = await attempt(client, `https://${receiver.authority}/`);
    t.match(verdict, { status: 'success' });
    t.strictSame(names, [false]);
  }
});

t.test('a TLS connection that was idle is used again', AT_MOST, async (t) => {
  const certificate = certify(t, ['IP:127.0.0.1']);
  trust(t, certificate);
  const receiver = await startHostile(
    t,
    (socket) => socket.on('data', () => socket.write(`${OK}content-length: 2\r\n\r\nok`)),
    { server: createTlsServer(certificate), event: 'secureConnection' },
  );
  const client = createClient(t, LONG_MS);
  for (let n = 0; n < 3; n++) {
    const { answer } = await attempt(client, `https://${receiver.authority}/`);
    t.match(answer, { statusCode: 200, excerpt: 'ok' });
    await idle();
  }
  t.equal(receiver.sockets.length, 1);
});

const outOfDate: [what: string, validity: [from: string, to: string], says: RegExp][] = [
  ['has expired', ['20200101000000Z', '20200201000000Z'], /certificate has expired/],
  ['is not valid yet', ['20990101000000Z', '20990201000000Z'], /certificate is not yet valid/],
];

for (const [what, validity, says] of outOfDate) {
  t.test(`nothing is sent to a receiver whose certificate ${what}`, AT_MOST, async (t) => {
    const certificate = certify(t, ['IP:127.0.0.1'], validity);
    trust(t, certificate);
    let received = 0;
    const receiver = await startHostile(t, (socket) => socket.on('data', () => received++), {
      server: createTlsServer(certificate),
      event: 'secureConnection',
    });
    const { verdict } = await attempt(createClient(t, LONG_MS), `https://${receiver.authority}/`);
    t.match(verdict, { status: 'failed', errorCode: 'tls', error: says, retry: true });
    t.equal(received, 0);
  });
}
