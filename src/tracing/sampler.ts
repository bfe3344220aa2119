import { ROOT_CONTEXT } from '@opentelemetry/api';
import { SamplingDecision, TraceIdRatioBasedSampler } from '@opentelemetry/sdk-trace-base';
import type { ParentSpan } from './trace-context.ts';

/** Decides whether the spans of a trace are recorded. */
export type Sampler = (traceId: string, parent: ParentSpan | null) => boolean;

/**
 * Returns the sampler that OTEL_TRACES_SAMPLER names, with OpenTelemetry's meaning: those with `parentbased_` ask the
 * parent, and decide by themselves only about traces that begin here.
 *
 * @param name one of `SAMPLERS` in config/tracing.ts; the settings refuse others.
 * @param ratio the share of traces that `traceidratio` records, 0 to 1.
 */
export function createSampler(name: string, ratio: number): Sampler {
  const begins = samplerOfRoots(name.replace('parentbased_', ''), ratio);
  if (!name.startsWith('parentbased_')) return begins;
  return (traceId, parent) => parent?.isSampled ?? begins(traceId, null);
}

function samplerOfRoots(name: string, ratio: number): Sampler {
  if (name === 'always_on') return () => true;
  if (name === 'always_off') return () => false;
  // By OpenTelemetry's own rule, so that services with the same ratio record the same traces.
  const byId = new TraceIdRatioBasedSampler(ratio);
  return (traceId) =>
    byId.shouldSample(ROOT_CONTEXT, traceId).decision === SamplingDecision.RECORD_AND_SAMPLED;
}
