import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { once } from 'node:events';
import { isIPv4 } from 'node:net';
import ipaddr from 'ipaddr.js';
import type { Test } from 'tap';
import type { Resolve } from '../../src/http/lookups.ts';

/** Addresses (of both families), a code of RFC 1035 4.1.1, or no answer at all. */
export type Answer = readonly string[] | 'SERVFAIL' | 'NXDOMAIN' | 'silence';

export interface Dns {
  /** The questions that came, such as `A a.example`. */
  readonly questions: string[];
  /** Asks this server and no other. */
  readonly resolve: Resolve;
}

const TYPES: Record<number, 'A' | 'AAAA'> = { 1: 'A', 28: 'AAAA' };
const CODES = { SERVFAIL: 2, NXDOMAIN: 3 };

/**
 * A DNS server on a UDP port, until the test ends. Its answers may not be kept (their time to live
 * is 0).
 *
 * @param answer called for each question, so that it may say something else each time.
 * @param timeoutMs after which there is none; a busy machine is not to be taken for silence.
 */
export async function startDns(
  t: Test,
  answer: (name: string, type: 'A' | 'AAAA') => Answer,
  timeoutMs = 120_000,
): Promise<Dns> {
  const questions: string[] = [];
  const server = createSocket('udp4', (message, { port, address }) => {
    const { name, type, end } = readQuestion(message);
    questions.push(`${type} ${name}`);
    const said = answer(name, type);
    if (said === 'silence') return;
    const addresses = typeof said === 'string' ? [] : said.filter((one) => isOf(type, one));
    const head = Buffer.from(message.subarray(0, 12));
    // A response, recursion available, and the code; one question, the answers, nothing else.
    head[2] = (head[2] ?? 0) | 0x80;
    head[3] = 0x80 | (typeof said === 'string' ? CODES[said] : 0);
    head.writeUInt16BE(addresses.length, 6);
    head.writeUInt32BE(0, 8);
    const records = addresses.map((one) => record(type, one));
    server.send(Buffer.concat([head, message.subarray(12, end), ...records]), port, address);
  });
  server.bind(0, '127.0.0.1');
  await once(server, 'listening');
  const resolver = new Resolver({ timeout: timeoutMs, tries: 1 });
  resolver.setServers([`127.0.0.1:${server.address().port}`]);
  t.teardown(() => {
    resolver.cancel();
    server.close();
  });
  return { questions, resolve: lookupBy(resolver) };
}

function readQuestion(message: Buffer): { name: string; type: 'A' | 'AAAA'; end: number } {
  const labels: string[] = [];
  let at = 12;
  for (let length = message[at] ?? 0; length > 0; length = message[at] ?? 0) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length));
    at += 1 + length;
  }
  const type = TYPES[message.readUInt16BE(at + 1)];
  if (type === undefined) throw new Error('a question of another type');
  return { name: labels.join('.').toLowerCase(), type, end: at + 5 };
}

/** A resource record whose name is a pointer to that of the question. */
function record(type: 'A' | 'AAAA', address: string): Buffer {
  const bytes = Buffer.from(ipaddr.parse(address).toByteArray());
  const head = Buffer.alloc(12);
  head.writeUInt16BE(0xc00c, 0);
  head.writeUInt16BE(type === 'A' ? 1 : 28, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(bytes.length, 10);
  return Buffer.concat([head, bytes]);
}

function isOf(type: 'A' | 'AAAA', address: string): boolean {
  return isIPv4(address) === (type === 'A');
}

/** Asks for both families and gives all addresses, as the guard wants it. */
function lookupBy(resolver: Resolver): Resolve {
  const ask = (family: 4 | 6, name: string) =>
    new Promise<{ addresses: string[]; error: Error | null }>((resolve) => {
      const onAnswer = (error: Error | null, addresses: string[] = []) =>
        resolve({ error, addresses });
      if (family === 4) resolver.resolve4(name, onAnswer);
      else resolver.resolve6(name, onAnswer);
    });
  return (name, _options, callback) => {
    void Promise.all([ask(4, name), ask(6, name)]).then(([four, six]) => {
      const addresses = [
        ...four.addresses.map((address) => ({ address, family: 4 })),
        ...six.addresses.map((address) => ({ address, family: 6 })),
      ];
      callback(addresses.length === 0 ? (four.error ?? six.error) : null, addresses);
    });
  };
}
