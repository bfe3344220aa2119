import type { Socket } from 'node:net';
import { errorCode } from '../lib/errors.ts';
import { request as httpRequest, STATUS_CODES } from '../lib/node-http.ts';
import { unbracketed } from './address-guard.ts';
import { portOf } from './ports.ts';
import type { Connected, Connector } from './undici.ts';

/** The proxy through which deliveries are sent. */
export interface EgressProxy {
  readonly hostname: string;
  readonly port: number;
  /** The value of `proxy-authorization`: a secret. */
  readonly authorization: string | undefined;
}

/**
 * Reads the URL of a proxy.
 *
 * @throws Error that does not repeat the URL, since it may contain a password.
 */
export function parseEgressProxy(text: string): EgressProxy {
  const url = URL.parse(text.trim());
  const bare = url !== null && url.pathname === '/' && url.search === '' && url.hash === '';
  if (!bare || url.protocol !== 'http:')
    throw new Error('it must look like http://user:password@host:port');
  return {
    hostname: unbracketed(url.hostname),
    port: portOf(url),
    authorization: authorizationOf(url),
  };
}

function authorizationOf({ username, password }: URL): string | undefined {
  if (username === '' && password === '') return undefined;
  try {
    const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(credentials).toString('base64')}`;
  } catch {
    throw new Error('a % in its user name or password must be written as %25');
  }
}

/** The egress proxy did not connect to the receiver. The message is a sentence without its full stop. */
export class ProxyError extends Error {
  override readonly name = 'ProxyError';
}

/**
 * Makes connections to receivers through a proxy, by CONNECT (RFC 9110, 9.3.6): the proxy sees host
 * and port, and with https nothing else. TLS is spoken, and verified, with the receiver.
 *
 * The proxy's own address is the operator's choice and is not checked. The text of a refusal is not passed on,
 * since it may show customers the inside of the operator's network.
 *
 * @param timeoutMs the longest time for connecting, from the proxy's name to the end of the TLS handshake.
 * @param connectTls speaks TLS on the socket of a tunnel.
 */
export function createTunnelConnector(
  proxy: EgressProxy,
  timeoutMs: number,
  connectTls: Connector,
): Connector {
  return (target, callback) => {
    const authority = `${target.hostname.includes(':') ? `[${unbracketed(target.hostname)}]` : target.hostname}:${portOf(target)}`;
    const request = httpRequest({
      host: proxy.hostname,
      port: proxy.port,
      method: 'CONNECT',
      path: authority,
      headers: {
        host: authority,
        // Without an agent, Node would send `connection: close`.
        connection: 'keep-alive',
        ...(proxy.authorization === undefined
          ? {}
          : { 'proxy-authorization': proxy.authorization }),
      },
      agent: false,
    });
    let tunnel: Socket | undefined;
    let ended = false;
    const timer = setTimeout(() => {
      const error = Object.assign(new Error('the tunnel took too long'), { code: 'ETIMEDOUT' });
      request.destroy(error);
      tunnel?.destroy(error);
    }, timeoutMs);
    const done: Connected = (...result) => {
      if (ended) return;
      ended = true;
      clearTimeout(timer);
      callback(...result);
    };

    request.on('error', (error) => done(failureOf(error), null));
    request.once('connect', ({ statusCode = 0 }, socket: Socket, head) => {
      // TLS reports errors of the socket beneath it, and a connection has its own listeners.
      socket.on('error', () => {});
      if (statusCode < 200 || statusCode > 299) {
        socket.destroy();
        done(new ProxyError(refusalOf(statusCode)), null);
        return;
      }
      tunnel = socket;
      socket.setNoDelay(true).setKeepAlive(true, 60_000);
      if (target.protocol === 'https:') {
        if (head.length > 0) socket.unshift(head);
        connectTls({ ...target, httpSocket: socket }, done);
        return;
      }
      // The callback sends the request. Bytes that the receiver sent before are put back after that.
      done(null, socket);
      if (head.length > 0) socket.unshift(head);
    });
    request.end();
  };
}

function refusalOf(statusCode: number): string {
  const named = `${statusCode} ${STATUS_CODES[statusCode] ?? ''}`.trim();
  // smokescreen denies with a 407.
  if (statusCode === 407)
    return `The egress proxy refused the connection (${named}): it denies this receiver, or wants other credentials`;
  if (statusCode >= 500) return `The egress proxy could not connect to the receiver (${named})`;
  return `The egress proxy refused the connection (${named})`;
}

/** Explains why the proxy did not answer, without messages, which name its address. */
function failureOf(cause: NodeJS.ErrnoException): Error {
  const first = cause instanceof AggregateError ? cause.errors[0] : cause;
  const code = errorCode(first) ?? '';
  if (code === 'ETIMEDOUT') return cause;
  if (code.startsWith('HPE_'))
    return new ProxyError('The egress proxy does not answer in HTTP', { cause });
  if (code === 'ECONNRESET' || code === 'EPIPE')
    return new ProxyError('The egress proxy closed the connection without an answer', { cause });
  return new ProxyError(`The egress proxy cannot be reached (${code || 'for an unknown reason'})`, {
    cause,
  });
}
