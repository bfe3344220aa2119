import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  createServer as createTlsServer,
  getCACertificates,
  setDefaultCACertificates,
} from 'node:tls';
import t, { type Test } from 'tap';
import {
  AT_MOST,
  type Attack,
  attempt,
  createClient,
  end,
  LONG_MS,
  NOISE,
  OK,
  on,
  SHORT_MS,
  say,
  startHostile,
} from '../helpers/hostile.ts';

/** A certificate that signs itself, made by openssl for this test. */
function certify(t: Test, ...names: string[]): { key: string; cert: string } {
  const dir = t.testdir();
  const [keyFile, certFile] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  execFileSync(
    'openssl',
    [
      ...'req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2'.split(' '),
      ...['-keyout', keyFile, '-out', certFile, '-subj', '/CN=posthorn test'],
      ...['-addext', `subjectAltName=${names.join()}`],
    ],
    { stdio: 'pipe' },
  );
  return { key: readFileSync(keyFile, 'utf8'), cert: readFileSync(certFile, 'utf8') };
}

t.test('a receiver that hangs in the TLS handshake ends its attempt', AT_MOST, async (t) => {
  const receiver = await startHostile(t, () => {});
  const client = createClient(t, SHORT_MS);
  const { verdict } = await attempt(client, `https://${receiver.authority}/`);
  t.match(verdict, { status: 'timeout', errorCode: 'timeout_connect', retry: true });
  await receiver.closed();
});

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

t.test('nothing is sent to a receiver whose certificate signs itself', AT_MOST, async (t) => {
  let received = 0;
  const server = createTlsServer(certify(t, 'IP:127.0.0.1'));
  const receiver = await startHostile(
    t,
    (socket) => socket.on('data', () => received++),
    server,
    'secureConnection',
  );
  const client = createClient(t, LONG_MS);
  const { verdict } = await attempt(client, `https://${receiver.authority}/`);
  t.match(verdict, { status: 'failed', errorCode: 'tls', error: /self-signed/, retry: true });
  t.equal(received, 0);
});

t.test("a certificate must be of the name in the receiver's URL", AT_MOST, async (t) => {
  const good = certify(t, 'DNS:localhost');
  const before = getCACertificates('default');
  t.teardown(() => setDefaultCACertificates(before));
  setDefaultCACertificates([...before, good.cert]);
  const receiver = await startHostile(
    t,
    end(`${OK}content-length: 0\r\n\r\n`),
    createTlsServer(good),
    'secureConnection',
  );
  const client = createClient(t, LONG_MS);
  const named = await attempt(client, `https://localhost:${receiver.port}/`);
  t.match(named.verdict, { status: 'success' });
  const other = await attempt(client, `https://${receiver.authority}/`);
  t.match(other.verdict, { status: 'failed', errorCode: 'tls', error: /does not match/ });
});
