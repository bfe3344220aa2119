// OTEL_TRACES_SAMPLER: which traces are recorded.
import { randomBytes } from 'node:crypto';
import t from 'tap';
import { createSampler } from '#src/tracing/sampler.ts';

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736';
const parent = (isSampled: boolean) => ({ traceId: TRACE, spanId: '00f067aa0ba902b7', isSampled });

t.test('each sampler of OpenTelemetry decides as its name says', async (t) => {
  for (const [name, begins, ofRecorded, ofUnrecorded] of [
    ['always_on', true, true, true],
    ['always_off', false, false, false],
    ['parentbased_always_on', true, true, false],
    ['parentbased_always_off', false, true, false],
  ] as const) {
    const isSampled = createSampler(name, 1);
    t.equal(isSampled(TRACE, null), begins, `${name}: a trace that begins here`);
    t.equal(isSampled(TRACE, parent(true)), ofRecorded, `${name}: its sender records it`);
    t.equal(isSampled(TRACE, parent(false)), ofUnrecorded, `${name}: its sender does not`);
  }
});

t.test('a share of the traces is recorded, by their ids', async (t) => {
  const ids = Array.from({ length: 4_000 }, () => randomBytes(16).toString('hex'));
  const quarter = createSampler('traceidratio', 0.25);
  const share = ids.filter((id) => quarter(id, null)).length / ids.length;
  t.ok(share > 0.15 && share < 0.35, `${share}`);
  const ofParent = createSampler('parentbased_traceidratio', 0.25);
  for (const id of ids.slice(0, 100)) {
    t.equal(quarter(id, parent(true)), quarter(id, null), 'whatever its sender does');
    t.equal(ofParent(id, null), quarter(id, null));
    t.ok(ofParent(id, parent(true)));
    t.notOk(ofParent(id, parent(false)));
  }
  t.notOk(ids.some((id) => createSampler('traceidratio', 0)(id, null)));
  t.ok(ids.every((id) => createSampler('traceidratio', 1)(id, null)));
});
