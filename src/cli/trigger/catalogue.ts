import { GITHUB_SAMPLES } from './github.ts';
import type { Provider, Sample } from './sample.ts';
import { SHOPIFY_SAMPLES } from './shopify.ts';
import { SLACK_SAMPLES } from './slack.ts';
import { STRIPE_SAMPLES } from './stripe.ts';

const PROVIDERS: Readonly<Record<string, Provider>> = {
  github: GITHUB_SAMPLES,
  stripe: STRIPE_SAMPLES,
  shopify: SHOPIFY_SAMPLES,
  slack: SLACK_SAMPLES,
};

/** An event of which there is a sample. */
export interface SampleEvent {
  /** The provider and its event, as in `github.push`. */
  readonly event: string;
  readonly about: string;
  readonly make: (now: Date) => Sample;
  readonly sign: Provider['sign'];
}

export const SAMPLE_EVENTS: readonly SampleEvent[] = Object.entries(PROVIDERS).flatMap(
  ([provider, { events, sign }]) =>
    Object.entries(events).map(([name, { about, make }]) => ({
      event: `${provider}.${name}`,
      about,
      make,
      sign,
    })),
);

/**
 * Returns a sample with some of its fields replaced.
 *
 * @param changes values by the path of their field, as in `data.object.amount`; a number is a place in a list.
 * @throws RangeError naming the first path that leads nowhere.
 */
export function withFields(
  sample: Sample,
  changes: readonly (readonly [path: string, value: unknown])[],
): Sample {
  const fields = structuredClone(sample.fields) as Record<string, unknown>;
  for (const [path, value] of changes) {
    const names = path.split('.');
    const last = names.pop() as string;
    let parent: Record<string, unknown> = fields;
    for (const name of names) {
      const next = Object.hasOwn(parent, name) ? parent[name] : undefined;
      if (typeof next !== 'object' || next === null)
        throw new RangeError(`the sample has no field ${path}`);
      parent = next as Record<string, unknown>;
    }
    Object.defineProperty(parent, last, { value, enumerable: true, writable: true });
  }
  return { ...sample, fields };
}
