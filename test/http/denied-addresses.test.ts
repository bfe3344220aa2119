import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';
import t, { type Test } from 'tap';
import { networks, toAddress } from '../helpers/addresses.ts';
import { watchAttempts } from '../helpers/attempts.ts';
import { startDns } from '../helpers/dns.ts';
import { AT_MOST, attempt, createClient, LONG_MS, reachOf } from '../helpers/hostile.ts';
import { until } from '../helpers/until.ts';

t.test('a denied address is not connected to in any spelling of a URL', AT_MOST, async (t) => {
  // Listens on all addresses of the machine.
  const sockets: Socket[] = [];
  const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
  server.listen(0);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const attempts = watchAttempts(t);
  const client = createClient(t, LONG_MS, reachOf('', '*'));
  for (const host of [
    '127.0.0.1',
    '127.0.0.1.',
    '2130706433',
    '0x7f.1',
    '0177.0.0.1',
    '127.1',
    '１２７.０.０.１',
    '127.255.255.254',
    '0',
    '[::1]',
    '[::]',
    '[::ffff:127.0.0.1]',
    '[64:ff9b::127.0.0.1]',
    'localhost',
  ]) {
    for (const scheme of ['http', 'https']) {
      const { verdict } = await attempt(client, `${scheme}://${host}:${port}/`);
      t.match(
        verdict,
        { status: 'blocked', errorCode: 'blocked', retry: false, error: /may not reach\.$/ },
        `${scheme}://${host}`,
      );
    }
  }
  t.equal(sockets.length, 0, 'nothing connected');
  t.equal(attempts.sockets, 0, 'nor was there a socket to connect with');
  const control = connect(port, '127.0.0.1');
  await once(server, 'connection');
  control.destroy();
  t.equal(sockets.length, 1, 'although one can');
  t.strictSame(attempts.addresses, ['127.0.0.1'], 'and that it did is seen');
  for (const socket of sockets) socket.destroy();
});

t.test('names of this machine are refused before DNS is asked', AT_MOST, async (t) => {
  const { verdict } = await attempt(createClient(t, LONG_MS, reachOf('')), 'http://localhost/');
  t.equal(
    verdict.error,
    'Not sent: localhost is a loopback address, which deliveries may not reach.',
  );
});

/** The first and last address of every denied network, once as it is and once behind a name. */
const targets = networks.flatMap(({ first, last, bits }, index) =>
  [first, last].map((number, end) => ({
    address: toAddress(number, bits),
    host: bits === 32 ? toAddress(number, bits) : `[${toAddress(number, bits)}]`,
    name: `n${index}-${end}.example`,
  })),
);

/** Tries to deliver to all of them, by literal addresses and by names. */
async function tryAll(t: Test, port: number): Promise<void> {
  const { resolve } = await startDns(t, (asked) =>
    targets.filter(({ name }) => name === asked).map(({ address }) => address),
  );
  const client = createClient(t, LONG_MS, { ...reachOf('', '*'), resolve });
  const outcomes = await Promise.all(
    targets
      .flatMap(({ host, name }) => [host, name])
      .map(async (host) => ({ host, ...(await attempt(client, `http://${host}:${port}/`)) })),
  );
  for (const { host, verdict } of outcomes)
    if (verdict.errorCode !== 'blocked') t.fail(`${host}: ${verdict.error}`);
}

t.test('this process makes no connect call to a denied network', AT_MOST, async (t) => {
  const attempts = watchAttempts(t);
  await tryAll(t, 80);
  t.strictSame(attempts.addresses, []);
  t.equal(attempts.sockets, targets.length, 'although each name had its socket');
});

t.test('a packet capture shows no SYN to any denied network', AT_MOST, async (t) => {
  const server = createServer((socket) => socket.destroy()).listen(0);
  await once(server, 'listening');
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  const capture = await startCapture(t, port);
  if (capture === null) {
    t.pass('no SYN', { skip: 'there is no tcpdump that may capture' });
    return;
  }
  await tryAll(t, port);
  t.strictSame(capture.packets, []);
  // Packets come in order: when this one is seen, all before it would have been.
  connect(port, '127.0.0.1').on('error', () => {});
  const [packet] = await until(
    'the control is seen',
    () => capture.packets.length > 0 && capture.packets,
  );
  t.match(packet, `127.0.0.1.${port}: Flags [S]`, 'although a SYN is seen where there is one');
});

/** Every SYN of this machine to a port, as lines of tcpdump; null where it cannot be had. */
async function startCapture(t: Test, port: number): Promise<{ packets: string[] } | null> {
  // The flags of TCP in IPv6 have no name in this language.
  const syn = `dst port ${port} and (tcp[tcpflags] & tcp-syn != 0 or (ip6[6] = 6 and ip6[53] & 2 != 0))`;
  const tcpdump = spawn('tcpdump', ['-i', 'any', '-nn', '-l', '--immediate-mode', syn]);
  const ended = new Promise<'ended'>((resolve) => {
    tcpdump.once('error', () => resolve('ended'));
    tcpdump.once('exit', () => resolve('ended'));
  });
  t.teardown(() => {
    tcpdump.kill();
    return ended;
  });
  const packets: string[] = [];
  createInterface(tcpdump.stdout).on('line', (line) => packets.push(line));
  const listening = new Promise<'listening'>((resolve) => {
    createInterface(tcpdump.stderr).on('line', (line) => {
      if (line.startsWith('listening on')) resolve('listening');
    });
  });
  return (await Promise.race([listening, ended])) === 'listening' ? { packets } : null;
}
