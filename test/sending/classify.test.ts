import fc from 'fast-check';
import t from 'tap';
import { BlockedAddressError } from '../../src/http/address-guard.ts';
import { HeadTooLargeError, ProtocolError } from '../../src/http/answer-head.ts';
import { type CutOff, type HttpAnswer, InterimAnswersError } from '../../src/http/answer-reader.ts';
import { ConnectionClosedError } from '../../src/http/connections.ts';
import { ProxyError } from '../../src/http/egress-proxy.ts';
import { AttemptTimeoutError } from '../../src/http/http-client.ts';
import {
  classifyAnswer,
  classifyFailure,
  InvalidSubscriptionError,
  receiverHealthOf,
  UnreadablePayloadError,
} from '../../src/sending/classify.ts';

const CUTS: readonly (CutOff | null)[] = [
  null,
  'too long',
  'malformed',
  'closed',
  'broken',
  'time',
  'stopped',
  'closed in head',
];

const answer = (statusCode: number, more: Partial<HttpAnswer> = {}): HttpAnswer => ({
  statusCode,
  retryAfter: undefined,
  location: undefined,
  excerpt: null,
  cutOff: null,
  ...more,
});

t.test('each answer is judged by its status', async (t) => {
  const cases: [
    statusCode: number,
    status: string,
    errorCode: string | null,
    retry: boolean,
    error: string | null,
  ][] = [
    [200, 'success', null, false, null],
    [201, 'success', null, false, null],
    [202, 'success', null, false, null],
    [204, 'success', null, false, null],
    [299, 'success', null, false, null],
    [300, 'failed', 'redirect', true, 'The receiver answered 300 Multiple Choices;'],
    [301, 'failed', 'redirect', true, 'The receiver answered 301 Moved Permanently;'],
    [304, 'failed', 'redirect', true, 'The receiver answered 304 Not Modified;'],
    [308, 'failed', 'redirect', true, 'The receiver answered 308 Permanent Redirect;'],
    [101, 'failed', 'http_status', true, 'The receiver answered 101 Switching Protocols.'],
    [399, 'failed', 'redirect', true, 'The receiver answered 399;'],
    [400, 'failed', 'http_status', true, 'The receiver answered 400 Bad Request.'],
    [401, 'failed', 'http_status', true, 'The receiver answered 401 Unauthorized.'],
    [404, 'failed', 'http_status', true, 'The receiver answered 404 Not Found.'],
    [409, 'failed', 'http_status', true, 'The receiver answered 409 Conflict.'],
    [410, 'failed', 'gone', false, 'The receiver answered 410 Gone,'],
    [429, 'failed', 'http_status', true, 'The receiver answered 429 Too Many Requests.'],
    [500, 'failed', 'http_status', true, 'The receiver answered 500 Internal Server Error.'],
    [503, 'failed', 'http_status', true, 'The receiver answered 503 Service Unavailable.'],
    [599, 'failed', 'http_status', true, 'The receiver answered 599.'],
    [999, 'failed', 'http_status', true, 'The receiver answered 999.'],
  ];
  for (const [statusCode, status, errorCode, retry, error] of cases) {
    const verdict = classifyAnswer(answer(statusCode));
    t.match(verdict, { status, errorCode, retry }, String(statusCode));
    if (error === null) t.equal(verdict.error, null);
    else t.ok(verdict.error?.startsWith(error), verdict.error ?? '');
  }
});

t.test('2xx and nothing else is a success; a success and 410 are never tried again', async () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 200, max: 999 }),
      fc.constantFrom(...CUTS),
      (statusCode, cutOff) => {
        const { status, retry } = classifyAnswer(answer(statusCode, { cutOff }));
        const success = statusCode < 300;
        return (status === 'success') === success && retry === !(success || statusCode === 410);
      },
    ),
  );
});

t.test('an answer that is cut off keeps its status, and the reason is recorded', async (t) => {
  const says: Record<CutOff, string> = {
    'too long': 'its body was longer than is read, and was cut off',
    malformed: 'its body was malformed (chunks that are none), and was cut off',
    closed: 'it closed the connection before the end of its body',
    broken: 'the connection broke before the end of its body',
    time: 'its body had not ended when the time of the attempt was over, and was cut off',
    stopped: 'its body had not ended when Posthorn was stopped, and was cut off',
    'closed in head': 'it closed the connection before the end of its headers',
  };
  for (const cutOff of CUTS) {
    if (cutOff === null) continue;
    const verdict = classifyAnswer(answer(200, { cutOff }));
    t.strictSame(verdict, {
      status: 'success',
      retry: false,
      errorCode: 'answer_cut_off',
      error: `The receiver answered 200 OK; ${says[cutOff]}.`,
    });
    t.equal(receiverHealthOf(verdict, 200), 'well');
    for (const status of [301, 410, 429, 500, 503])
      t.strictSame(
        classifyAnswer(answer(status, { cutOff })),
        classifyAnswer(answer(status)),
        `${status}, ${cutOff}`,
      );
  }
});

t.test('the error of a redirect has its target, so the subscription can be fixed', async (t) => {
  const { error } = classifyAnswer(answer(301, { location: 'https://new.example/hook' }));
  t.equal(
    error,
    "The receiver answered 301 Moved Permanently to https://new.example/hook; redirects are not followed. Change the subscription's URL.",
  );
  const long = classifyAnswer(answer(302, { location: 'x'.repeat(16_000) }));
  t.ok((long.error ?? '').length < 400, 'a location as long as all headers is cut');
  const hostile = classifyAnswer(answer(302, { location: '/a\0b\rc\x1b[31m' }));
  t.match(hostile.error, ' to /a\ufffdb\ufffdc\ufffd[31m; ', 'and without control characters');
});

const coded = (code: string, message = code) => Object.assign(new Error(message), { code });
const TIMEOUT_MS = 15_000;

t.test('each failure has a code and a sentence', async (t) => {
  const cases: [error: unknown, status: string, errorCode: string, says: RegExp][] = [
    [
      new BlockedAddressError('a.example is a loopback address'),
      'blocked',
      'blocked',
      /^Not sent: a\.example is a loopback address\.$/,
    ],
    [
      new ProxyError('The egress proxy refused the connection (403 Forbidden)'),
      'failed',
      'proxy',
      /^The egress proxy refused the connection \(403 Forbidden\)\.$/,
    ],
    [new InterimAnswersError(), 'failed', 'protocol', /^The receiver sent interim answers \(1xx\)/],
    [
      new InvalidSubscriptionError('its secret is short'),
      'failed',
      'subscription',
      /^Not sent: the subscription is not valid \(its secret is short\)\. Correct it\.$/,
    ],
    [
      new AttemptTimeoutError('connect'),
      'timeout',
      'timeout_connect',
      /^No connection .* within 15s\.$/,
    ],
    [
      new AttemptTimeoutError('response'),
      'timeout',
      'timeout_response',
      /not answer in full within 15s\.$/,
    ],
    [
      coded('UND_ERR_CONNECT_TIMEOUT'),
      'timeout',
      'timeout_connect',
      /^No connection .* within 15s\.$/,
    ],
    [coded('ETIMEDOUT'), 'timeout', 'timeout_connect', /^No connection .* within 15s\.$/],
    [coded('ENOTFOUND'), 'failed', 'dns', /host name does not exist/],
    [coded('EAI_AGAIN'), 'failed', 'dns', /could not be resolved/],
    [coded('EAI_FAIL'), 'failed', 'dns', /could not be resolved/],
    [coded('ESERVFAIL'), 'failed', 'dns', /could not be resolved/],
    [coded('ETIMEOUT'), 'failed', 'dns', /could not be resolved/],
    [coded('ECONNREFUSED'), 'failed', 'refused', /connection was refused/],
    [coded('EHOSTUNREACH'), 'failed', 'unreachable', /no route/],
    [coded('ENETUNREACH'), 'failed', 'unreachable', /no route/],
    [coded('ECONNRESET'), 'failed', 'reset', /closed the connection before/],
    [coded('EPIPE'), 'failed', 'reset', /closed the connection before/],
    [new ConnectionClosedError(), 'failed', 'reset', /closed the connection before/],
    [
      new ProtocolError('its status line is malformed'),
      'failed',
      'protocol',
      /^The receiver's answer is not valid HTTP\/1\.1: its status line is malformed\.$/,
    ],
    [new HeadTooLargeError(), 'failed', 'too_large', /more headers than are read \(256 KiB\)/],
    [
      coded('EMFILE', 'too many open files'),
      'failed',
      'connection',
      /^The request failed: too many open files\.$/,
    ],
    [new Error('boom'), 'failed', 'connection', /^The request failed: boom\.$/],
    [new TypeError(), 'failed', 'connection', /^The request failed: TypeError\.$/],
    ['text', 'failed', 'connection', /^The request failed: text\.$/],
    [undefined, 'failed', 'connection', /^The request failed: undefined\.$/],
    [null, 'failed', 'connection', /^The request failed: null\.$/],
  ];
  for (const [error, status, errorCode, says] of cases) {
    const verdict = classifyFailure(error, TIMEOUT_MS);
    t.match(verdict, { status, errorCode, error: says }, String(error));
    t.equal(verdict.retry, status !== 'blocked', `${String(error)}: whether there is a retry`);
  }
});

t.test('every certificate error has the code tls', async (t) => {
  // The codes of Node's documentation, "X509 certificate error codes", and of its TLS errors.
  for (const code of [
    'CERT_CHAIN_TOO_LONG',
    'CERT_HAS_EXPIRED',
    'CERT_NOT_YET_VALID',
    'CERT_REJECTED',
    'CERT_REVOKED',
    'CERT_SIGNATURE_FAILURE',
    'CERT_UNTRUSTED',
    'CRL_HAS_EXPIRED',
    'CRL_NOT_YET_VALID',
    'CRL_SIGNATURE_FAILURE',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'ERROR_IN_CERT_NOT_AFTER_FIELD',
    'ERROR_IN_CRL_LAST_UPDATE_FIELD',
    'HOSTNAME_MISMATCH',
    'INVALID_CA',
    'INVALID_PURPOSE',
    'PATH_LENGTH_EXCEEDED',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY',
    'UNABLE_TO_DECRYPT_CERT_SIGNATURE',
    'UNABLE_TO_GET_CRL',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_TLS_HANDSHAKE_TIMEOUT',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE',
  ]) {
    const verdict = classifyFailure(coded(code, 'what is wrong'), TIMEOUT_MS);
    t.match(verdict, { status: 'failed', errorCode: 'tls', retry: true }, code);
    t.equal(verdict.error, 'A secure connection to the receiver failed: what is wrong.');
  }
});

t.test("only the reason is taken from OpenSSL's error line", async (t) => {
  const error = Object.assign(
    coded(
      'ERR_SSL_WRONG_VERSION_NUMBER',
      '402D46:error:0A00010B:SSL routines:tls_validate_record_header:wrong version number:../deps/a.c:77:\n',
    ),
    { library: 'SSL routines', reason: 'wrong version number' },
  );
  t.equal(
    classifyFailure(error, TIMEOUT_MS).error,
    'A secure connection to the receiver failed: wrong version number.',
  );
});

t.test('for a name with several addresses, the first error is recorded', async (t) => {
  const both = new AggregateError([coded('ECONNREFUSED'), coded('ENETUNREACH')]);
  t.match(classifyFailure(both, TIMEOUT_MS), { errorCode: 'refused' });
  const blocked = new AggregateError([new BlockedAddressError('a resolves to b')]);
  t.match(classifyFailure(blocked, TIMEOUT_MS), { status: 'blocked', retry: false });
  t.match(classifyFailure(new AggregateError([]), TIMEOUT_MS), { errorCode: 'connection' });
});

t.test('an unsent attempt says nothing about its receiver; a redirect is an answer', async (t) => {
  const receiverHealthOfFailure = (error: unknown) =>
    receiverHealthOf(classifyFailure(error, TIMEOUT_MS), undefined);
  t.equal(receiverHealthOfFailure(new BlockedAddressError('a is private')), 'unsent');
  t.equal(receiverHealthOfFailure(new InvalidSubscriptionError('no URL')), 'unsent');
  t.equal(receiverHealthOfFailure(new UnreadablePayloadError('it is too large')), 'unread');
  t.equal(receiverHealthOfFailure(new ProxyError('the proxy is away')), 'down');
  t.equal(receiverHealthOfFailure(coded('ENOTFOUND')), 'down');
  const signs = [200, 302, 404, 410, 429, 503].map((status) =>
    receiverHealthOf(classifyAnswer(answer(status)), status),
  );
  t.strictSame(signs, ['well', 'refused', 'refused', 'gone', 'down', 'down']);
});
