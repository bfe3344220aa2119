import fc from 'fast-check';
import t from 'tap';
import {
  formatTraceparent,
  parseTraceparent,
  replaceTrace,
  storedTraceOf,
  traceContextOf,
  withTraceContext,
} from '../../src/tracing/trace-context.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const SPAN = '00f067aa0ba902b7';
const GOOD = `00-${TRACE}-${SPAN}-01`;

t.test('a traceparent is read as W3C Trace Context has it', async (t) => {
  t.strictSame(parseTraceparent(GOOD), { traceId: TRACE, spanId: SPAN, isSampled: true });
  t.match(parseTraceparent(`00-${TRACE}-${SPAN}-00`), { isSampled: false });
  t.match(parseTraceparent(`00-${TRACE}-${SPAN}-fe`), { isSampled: false }, 'only the last bit');
  t.match(parseTraceparent(`cc-${TRACE}-${SPAN}-01-what-the-future-adds`), { traceId: TRACE });
});

t.test('a malformed or hostile traceparent belongs to no trace', async (t) => {
  for (const text of [
    '',
    'x',
    GOOD.toUpperCase(),
    ` ${GOOD}`,
    `${GOOD}-more`,
    `${GOOD}0`,
    `ff-${TRACE}-${SPAN}-01`,
    `00-${'0'.repeat(32)}-${SPAN}-01`,
    `00-${TRACE}-${'0'.repeat(16)}-01`,
    `00-${TRACE}-${SPAN}-0`,
    `cc-${TRACE}-${SPAN}-01x`,
    `${GOOD}, ${GOOD}`,
    `cc-${TRACE}-${SPAN}-01-${'x'.repeat(100_000)}`,
    `${GOOD}\r\nx: y`,
  ])
    t.equal(parseTraceparent(text), null, JSON.stringify(text.slice(0, 80)));
});

t.test('whatever is read can be written again', async () => {
  const hex = (length: number) =>
    fc
      .array(fc.constantFrom(...'0123456789abcdef'), { minLength: length, maxLength: length })
      .map((digits) => digits.join(''))
      .filter((text) => !/^0+$/.test(text));
  fc.assert(
    fc.property(hex(32), hex(16), fc.boolean(), (traceId, spanId, isSampled) => {
      const parent = { traceId, spanId, isSampled };
      return JSON.stringify(parseTraceparent(formatTraceparent(parent))) === JSON.stringify(parent);
    }),
  );
});

t.test('a tracestate goes with its traceparent, unless it is malformed or too long', async (t) => {
  const stateOf = (tracestate: string) => traceContextOf({ traceparent: GOOD, tracestate });
  for (const state of ['congo=t61rcWkgMzE', 'a=1,b@c=2', 'a=1, b=2', 'a=1,,b=2', ''])
    t.equal(stateOf(state)?.tracestate, state);
  for (const state of ['a', 'A=1', 'a=\u0001', 'a=b=c', 'a= ', `a=${'x'.repeat(600)}`])
    t.equal(stateOf(state)?.tracestate, null, JSON.stringify(state.slice(0, 40)));
  t.equal(traceContextOf({ tracestate: 'a=1' }), null);
  t.equal(traceContextOf({ traceparent: 'x', tracestate: 'a=1' }), null);
});

t.test('a trace that the sender gives with a webhook goes first', async (t) => {
  const context = { traceparent: GOOD, tracestate: 'a=1' };
  const given = { traceparent: `00-${TRACE}-1111111111111111-00` };
  t.strictSame(withTraceContext(given, context), given);
  t.strictSame(withTraceContext({ 'x-a': 'b' }, context), { 'x-a': 'b', ...context });
  t.strictSame(withTraceContext(null, { traceparent: GOOD, tracestate: null }), {
    traceparent: GOOD,
  });
  t.equal(withTraceContext(null, null), null);
});

t.test('a stored trace is found, and replaced, among other headers', async (t) => {
  const stored = ['x-a', 'traceparent', 'traceparent', GOOD, 'tracestate', 'a=1'];
  t.strictSame(storedTraceOf(stored), { traceparent: GOOD, tracestate: 'a=1' });
  t.equal(storedTraceOf(['x-a', 'traceparent']), null, 'a value is no name');
  t.equal(storedTraceOf(['traceparent', 'malformed']), null);
  const trace = { traceparent: `00-${TRACE}-1111111111111111-01`, tracestate: null };
  t.strictSame(replaceTrace(stored, trace), [
    'x-a',
    'traceparent',
    'traceparent',
    trace.traceparent,
  ]);
  t.strictSame(replaceTrace(null, trace), ['traceparent', trace.traceparent]);
});
