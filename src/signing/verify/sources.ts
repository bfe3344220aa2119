import type { VerifyScheme } from './schemes.ts';

/** The properties of a source's requests other than their signature. */
interface Source {
  /** The headers that say what a webhook is about. They are not signed, and none of them is a signature. */
  readonly headers: readonly string[];
  /** The content types besides JSON that it sends. */
  readonly contentTypes: readonly string[];
}

const NOTHING: Source = { headers: [], contentTypes: [] };
const FORM = 'application/x-www-form-urlencoded';

/** The sources with a scheme of their own. */
const SOURCES: Partial<Record<VerifyScheme, Source>> = {
  github: {
    headers: [
      'x-github-event',
      'x-github-delivery',
      'x-github-hook-id',
      'x-github-hook-installation-target-type',
      'x-github-hook-installation-target-id',
      'x-github-enterprise-host',
      'x-github-enterprise-version',
    ],
    // The content type that GitHub proposes for a new webhook.
    contentTypes: [FORM],
  },
  shopify: {
    headers: [
      'x-shopify-topic',
      'x-shopify-shop-domain',
      'x-shopify-webhook-id',
      'x-shopify-event-id',
      'x-shopify-api-version',
      'x-shopify-triggered-at',
      'x-shopify-test',
    ],
    contentTypes: [],
  },
  slack: {
    headers: ['x-slack-retry-num', 'x-slack-retry-reason'],
    // Slash commands and interactive messages.
    contentTypes: [FORM],
  },
};

/** Returns what is known of the source that signs by this scheme; undefined: there is no scheme. */
export function sourceOf(scheme: VerifyScheme | undefined): Source {
  return (scheme === undefined ? undefined : SOURCES[scheme]) ?? NOTHING;
}
