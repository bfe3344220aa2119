import type { TracingSettings } from '../tracing/tracing.ts';

const PROTOCOL = 'http/protobuf';
const SAMPLERS = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
];

/**
 * Returns how traces are exported; undefined: they are not.
 *
 * @param url to which traces are posted; undefined: OTEL_EXPORTER_OTLP_ENDPOINT is not set.
 * @param given the texts that are set, from the environment and from `.env`.
 * @param env the environment.
 * @param problems gets what is wrong.
 */
export function tracingSettings(
  url: string | undefined,
  given: Readonly<Record<string, string>>,
  env: Readonly<Record<string, string | undefined>>,
  problems: string[],
): TracingSettings | undefined {
  const isOff = given.OTEL_SDK_DISABLED?.toLowerCase() === 'true';
  if (url === undefined || isOff || given.OTEL_TRACES_EXPORTER === 'none') return undefined;
  const protocol =
    given.OTEL_EXPORTER_OTLP_TRACES_PROTOCOL ?? given.OTEL_EXPORTER_OTLP_PROTOCOL ?? PROTOCOL;
  if (protocol !== PROTOCOL)
    problems.push(
      `OTEL_EXPORTER_OTLP_PROTOCOL: "${protocol}" is not supported; use ${PROTOCOL}, to which collectors listen at port 4318`,
    );
  // OpenTelemetry reads the environment by itself, but no .env file.
  const fromFile = Object.entries(given).filter(
    ([name]) => name.startsWith('OTEL_') && (env[name] ?? '').trim() === '',
  );
  const sampler = given.OTEL_TRACES_SAMPLER ?? 'parentbased_always_on';
  if (!SAMPLERS.includes(sampler))
    problems.push(`OTEL_TRACES_SAMPLER: "${sampler}" is none of ${SAMPLERS.join(', ')}`);
  const ratio = Number(given.OTEL_TRACES_SAMPLER_ARG ?? 1);
  if (sampler.endsWith('traceidratio') && !(ratio >= 0 && ratio <= 1))
    problems.push(
      `OTEL_TRACES_SAMPLER_ARG: "${given.OTEL_TRACES_SAMPLER_ARG}" is no share of traces from 0 to 1, such as 0.1`,
    );
  return { url, sampler, ratio, variables: Object.fromEntries(fromFile) };
}
