// Generated from the OpenAPI document by `npm run client`. Do not edit.
export interface AcceptedWebhook {
  /** How many subscriptions the webhook is delivered to. */
  deliveries: number;
  status: "accepted";
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

/** What was recorded. */
export interface AcknowledgeDeliveriesData {
  /** The tokens whose leases had ended before: their time was over, or the delivery was released. Nothing was recorded for them. */
  ended: string[];
  /** The number of results that are recorded, by this request or before. */
  recorded: number;
}

export interface AcknowledgeDeliveriesPayload {
  /**
   * @maxItems 1000
   * @minItems 1
   */
  results: {
    /**
     * Only for failed: what went wrong, as a sentence for people.
     * @maxLength 1000
     */
    error?: string;
    /**
     * The HTTP status with which the receiver answered, if the webhook was forwarded to one. It is shown with the attempt and decides nothing.
     * @min 100
     * @max 599
     */
    response_code?: number;
    /**
     * The beginning of the answer, which is shown with the attempt.
     * @maxLength 1024
     */
    response_excerpt?: string;
    /** delivered: the attempt succeeded. failed: it failed, and the next one follows by the retry schedule. released: the delivery is given back, at once and without an attempt. */
    result: "delivered" | "failed" | "released";
    /**
     * Names the delivery and this attempt of it, for acknowledging it.
     * @minLength 1
     * @maxLength 100
     */
    token: string;
  }[];
}

export interface Backfill {
  /** @format date-time */
  created_at: string;
  ended_at: string | null;
  /** Why it failed. Null: it did not fail. */
  error: string | null;
  /**
   * The id of a backfill.
   * @min 1
   * @max 2147483647
   */
  id: number;
  links: {
    /**
     * POST to this URL to cancel the backfill.
     * @format uri-reference
     */
    cancel: string;
    /** @format uri-reference */
    self: string;
  };
  /** The most rows a second. Null: no limit. */
  per_second: number | null;
  /**
   * The share of the table that has been read.
   * @min 0
   * @max 1
   */
  progress: number;
  rows_sent: number;
  /** Null: the table is gone. */
  schema: string | null;
  /** False: the table's owner lacks rights that Posthorn's role has, so a session of the owner has to call posthorn.send_backfill. */
  sent_by_workers: boolean;
  state: "waiting" | "running" | "succeeded" | "failed" | "cancelled";
  table: string | null;
  /**
   * The id of a watch.
   * @min 1
   * @max 2147483647
   */
  watch_id: number;
  /** The condition on the rows. Null: all are sent. */
  where: string | null;
}

export type CancelBackfillData = Backfill;

export type CancelDeliveriesData = Task;

export interface CancelDeliveriesPayload {
  /**
   * Only deliveries of these event types: exact types, prefixes such as `order.*`, or `*`. Left out: all types.
   * @maxItems 100
   * @minItems 1
   */
  event_types?: string[];
  /**
   * Only deliveries of webhooks accepted at or after this time.
   * @format date-time
   */
  since?: string;
  /**
   * Only deliveries in these states. Left out: both.
   * @maxItems 2
   * @minItems 1
   * @uniqueItems true
   */
  states?: ("pending" | "held")[];
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id?: number;
  /**
   * Only deliveries of webhooks accepted before this time. Left out: now.
   * @format date-time
   */
  until?: string;
}

export type CancelDeliveryData = CancelledDelivery;

export type CancelTaskData = Task;

export type CancelWebhookData = CancelledWebhook;

export interface CancelledDelivery {
  attempts_made: number;
  /** Whether the body is deleted because its retention is over. The webhook can then not be sent again. */
  body_expired: boolean;
  ended_at: string | null;
  event_type: string | null;
  /**
   * The webhook's id, a dot, and the subscription's id.
   * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
   */
  id: string;
  links: {
    /** @format uri-reference */
    attempts: string;
    /**
     * POST to this URL to cancel the delivery.
     * @format uri-reference
     */
    cancel: string;
    /**
     * POST to this URL to send the delivery again.
     * @format uri-reference
     */
    retry: string;
    /** @format uri-reference */
    subscription: string;
    /** @format uri-reference */
    webhook: string;
  };
  next_attempt_at: string | null;
  /** Why the delivery ended, if no attempt says so. expired: it was held for longer than its retry schedule lasts. skipped: its subscription was enabled with `backlog` skip. */
  reason: string | null;
  /** True: the delivery was due, so a worker may have it in hand at this moment. Its request is not aborted: the receiver may still get the webhook, the attempt is recorded, and the delivery stays cancelled. False: it was not due, so nothing is sent. */
  request_may_be_open: boolean;
  state: "pending" | "held" | "succeeded" | "failed" | "cancelled";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /** Null: the receiver of the subscription pulls its webhooks. */
  subscription_url: string | null;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export interface CancelledWebhook {
  /** How many of its deliveries are cancelled, by this request or an earlier one. */
  cancelled: number;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export interface Change {
  /** The kind of change. For wait, start_worker, mend_receiver and send_again, `request` is null: no request to Posthorn does them. */
  action:
    | "wait"
    | "start_worker"
    | "mend_receiver"
    | "enable"
    | "resume"
    | "pause"
    | "retry"
    | "replay_since"
    | "cancel"
    | "edit_url"
    | "edit_limits"
    | "rotate_secret"
    | "pull"
    | "send_again";
  /** The request that does it; it needs a key with the scope manage. */
  request: {
    /** The body of the request. Null: it needs none, apart from `input`. */
    body: Record<string, any> | null;
    /** Fields that the body needs as well, and whose values you choose, such as `url`. */
    input: string[];
    method: "POST" | "PATCH";
    /** @format uri-reference */
    path: string;
  } | null;
  /** The same in SQL. Null: there is no function for it. */
  sql: string | null;
  /** What to do, as a phrase. */
  text: string;
}

export type CreateBackfillData = Backfill;

export interface CreateBackfillPayload {
  /** The most rows a second. Left out: as fast as possible. */
  per_second?: number | null;
  /** A condition on the row new, as an SQL expression. It may compare values of the row and call immutable functions. Subqueries and other functions are refused; such a condition can be given in SQL. Left out: all rows. */
  where?: string | null;
}

export type CreateEventTypeData = EventType;

export interface CreateEventTypePayload {
  description?: string | null;
  /** An example of the data, which must fit the schema. At most 65536 bytes and 256 levels. Null: no example. */
  example?: unknown;
  /**
   * An event type: words of letters, digits, _ and - with dots between them. It must not begin with `posthorn.`, which is kept for webhooks of Posthorn itself.
   * @maxLength 128
   * @pattern ^(?!posthorn\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
   */
  name: string;
  /** JSON Schema (draft 2020-12) of the data. It must not refer to anything outside of itself. At most 32768 bytes and 256 levels. Null: no schema. */
  schema?: object | null;
}

/** The key. Store it now: it is never shown again. */
export interface CreateKeyData {
  /** @format date-time */
  created_at: string;
  /** A label inside the key, so that people and secret scanners can tell live keys from test keys. Posthorn treats both alike. */
  environment: "live" | "test";
  expires_at: string | null;
  /** The first characters of the key, to recognize it by. */
  hint: string;
  /**
   * The id of a key.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The key, to send in the header Authorization: Bearer <key>. */
  key: string;
  /** When the key was last used, exact to a minute. */
  last_used_at: string | null;
  name: string | null;
  revoked_at: string | null;
  /**
   * read: list and get everything of the tenant. send: send webhooks. manage: change subscriptions, event types and deliveries, and everything that read allows. admin: everything, for all tenants.
   * @maxItems 5
   * @minItems 1
   */
  scopes: ("read" | "send" | "pull" | "manage" | "admin")[];
  /** The tenant that the key is limited to. Null: all tenants. */
  tenant: string | null;
}

export interface CreateKeyPayload {
  /** A label inside the key, so that people and secret scanners can tell live keys from test keys. Posthorn treats both alike. */
  environment?: "live" | "test";
  /** From this time on the key is refused. Null: the key does not expire. */
  expires_at?: string | null;
  name?: string | null;
  /**
   * read: list and get everything of the tenant. send: send webhooks. manage: change subscriptions, event types and deliveries, and everything that read allows. admin: everything, for all tenants.
   * @maxItems 5
   * @minItems 1
   */
  scopes: ("read" | "send" | "pull" | "manage" | "admin")[];
  /**
   * The tenant that the key is limited to. Left out: default. Must be left out with the scope admin.
   * @maxLength 256
   */
  tenant?: string;
}

/** The link. */
export interface CreatePortalLinkData {
  /**
   * Then the portal ends.
   * @format date-time
   */
  expires_at: string;
  /**
   * Until then the link can be opened.
   * @format date-time
   */
  open_until: string;
  /** The URL to open. It begins with POSTHORN_PUBLIC_URL, or else with the address of this request. The part after # is secret. */
  url: string;
}

export interface CreatePortalLinkPayload {
  /** read: look at everything. manage: also change subscriptions, and retry and cancel deliveries. Left out: read. */
  access?: "read" | "manage";
  /**
   * How long the portal can be used, from now: 1s to 7d. Left out: 1h.
   * @maxLength 20
   */
  expires_in?: string;
  /**
   * The screens of the portal. The session may call only the routes that these use. Left out: all.
   * @maxItems 6
   * @minItems 1
   * @uniqueItems true
   */
  screens?: (
    | "overview"
    | "webhooks"
    | "subscriptions"
    | "problems"
    | "event-types"
    | "tasks"
  )[];
  /** How this portal looks, instead of what the tenant stores. */
  theme?: {
    /** The colour of buttons and links, as #rrggbb. Null: the one of the dashboard. */
    accent?: string | null;
    /** The colour behind the logo, as #rrggbb. Null: the one of the dashboard. */
    header?: string | null;
    /** An image as a URL such as data:image/svg+xml;base64,…: PNG, JPEG, WebP or SVG, of at most 16384 characters. It is in the page itself, so that the page loads nothing from elsewhere. Null: no logo. */
    logo?: string | null;
    /** auto: light or dark, as the browser of the customer prefers. */
    mode?: "light" | "dark" | "auto";
  };
}

export type CreatePortalSessionData = Session;

export interface CreatePortalSessionPayload {
  /**
   * The id in the path of the link.
   * @maxLength 36
   */
  link: string;
  /**
   * The part of the link after #.
   * @maxLength 100
   */
  token: string;
}

export type CreateSessionData = Session;

export interface CreateSessionPayload {
  /**
   * A key from /v1/keys, or the admin key.
   * @minLength 1
   * @maxLength 1000
   */
  key: string;
}

/** The subscription. Its secret is never shown again. */
export interface CreateSubscriptionData {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** The secret that was generated, if generate_secret was true. */
  secret?: string;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
  /** Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how. */
  warning?: string;
}

/** The subscription. Its secret is never shown again. */
export interface CreateSubscriptionLegacyData {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
  /** Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how. */
  warning?: string;
}

export interface CreateSubscriptionLegacyPayload {
  /**
   * The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again.
   * @maxLength 256
   */
  secret?: string;
  /**
   * The URL to which webhooks are delivered: http or https, without a user name or password, at a public address. For notices to people also `mailto:` and an address, if there is a mail server; that needs a key with the scope `admin`.
   * @minLength 1
   * @maxLength 2048
   */
  url: string;
}

export interface CreateSubscriptionPayload {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels?: string[] | null;
  description?: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types?: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after?: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter?: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format?: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers?: string[] | null;
  /** true: Posthorn generates a secret and shows it once, in the answer to this request. */
  generate_secret?: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers?: Record<string, string> | null;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types?: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight?: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata?: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering?: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit?: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule?: string | null;
  /**
   * The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again.
   * @maxLength 256
   */
  secret?: string;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content?: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header?: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme?: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template?: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout?: string | null;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  /** How the source that hands webhooks in by /ingest signs them. With a valid signature the source needs no key; webhooks without one are refused. Null: /ingest verifies X-Hub-Signature-256 with `secret`, if there is one. */
  verify?: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
    /**
     * The secret that the source gave you. Its characters are the key. For standard-webhooks: whsec_ and base64, or whpk_ and a public key. It is never shown.
     * @minLength 1
     * @maxLength 256
     */
    secret: string;
  } | null;
}

export type CreateTenantData = Tenant;

export interface CreateTenantPayload {
  /**
   * Your own id for the tenant: letters, digits, _, - and dots.
   * @maxLength 64
   * @pattern ^[A-Za-z0-9_-][A-Za-z0-9_.-]*$
   */
  id?: string;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata?: Record<string, string> | null;
  name?: string | null;
  /** The origins that may embed the portal of the tenant, and its appearance. The object replaces the earlier one. Null: no origin may embed it, and it looks like the dashboard. */
  portal?: PortalSettings | null;
  /** How long the bodies of its webhooks and the answers of receivers are kept: 1h to 3650d. It can shorten POSTHORN_PAYLOAD_RETENTION, not lengthen it. Null: POSTHORN_PAYLOAD_RETENTION applies. */
  retention?: string | null;
}

export type CreateWatchData = Watch;

export interface CreateWatchPayload {
  /** An update counts only if one of these columns has another value. */
  columns?: string[] | null;
  /**
   * The first part of the event types. Left out: the name of the table.
   * @minLength 1
   * @maxLength 119
   */
  event_type?: string;
  /** If a webhook cannot be sent: raise makes the statement fail, skip counts it. */
  on_error?: "raise" | "skip";
  /**
   * Which operations are sent. Left out: all three.
   * @maxItems 3
   * @minItems 1
   */
  ops?: ("insert" | "update" | "delete")[];
  /** Columns with commas between them, or pk for the primary key. */
  ordering_key?: string | null;
  /** Only these columns are sent. Left out: all, also those added later. */
  payload_columns?: string[] | null;
  /** Whether the trigger is called for each statement, which costs least, or for each row. */
  per?: "statement" | "row";
  /**
   * The schema of the table.
   * @minLength 1
   * @maxLength 63
   * @default "public"
   */
  schema?: string;
  /**
   * The table to watch, as its name is stored: without quotes, and in lower case unless it was created in quotes.
   * @minLength 1
   * @maxLength 63
   */
  table: string;
  /**
   * The tenant of the webhooks. Left out: default, unless there is a tenant_column.
   * @maxLength 256
   */
  tenant?: string;
  /** The column with the tenant. */
  tenant_column?: string | null;
  /** A condition on the rows new and old, as an SQL expression. It may compare values of the row and call immutable functions. Subqueries and other functions are refused; such a condition can be given in SQL. */
  when?: string | null;
  /**
   * Whether an update has the old row too.
   * @default true
   */
  with_old?: boolean;
}

/** The event type is deleted. */
export interface DeleteEventTypeData {
  deleted: true;
}

/** They have ended. */
export interface DeletePortalLinksData {
  /** How many links and sessions. */
  ended: number;
}

export type DeleteSessionData = Session;

/** The subscription is deleted. */
export interface DeleteSubscriptionData {
  /** The number of pending and held deliveries that were cancelled at once. */
  cancelled: number;
  /** The id of the task that cancels the rest: see /v1/tasks/{task_id}. Null: there is no rest. */
  task: string | null;
}

/** The subscription is deleted. */
export interface DeleteSubscriptionLegacyData {
  /** The number of pending and held deliveries that were cancelled at once. */
  cancelled: number;
  message: string;
  /** The id of the task that cancels the rest: see /v1/tasks/{task_id}. Null: there is no rest. */
  task: string | null;
}

export interface DeleteSubscriptionLegacyPayload {
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
}

/** The tenant is deleted. The numbers say how many subscriptions, deliveries and keys were deleted, cancelled or revoked with it. */
export interface DeleteTenantData {
  /** The number of pending and held deliveries that were cancelled at once. */
  cancelled: number;
  keys: number;
  subscriptions: number;
  /** The id of the task that cancels the rest: see /v1/tasks/{task_id}. Null: there is no rest. */
  task: string | null;
}

export type DeleteWatchData = Watch;

export interface Delivery {
  attempts_made: number;
  /** Whether the body is deleted because its retention is over. The webhook can then not be sent again. */
  body_expired: boolean;
  ended_at: string | null;
  event_type: string | null;
  /**
   * The webhook's id, a dot, and the subscription's id.
   * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
   */
  id: string;
  links: {
    /** @format uri-reference */
    attempts: string;
    /**
     * POST to this URL to cancel the delivery.
     * @format uri-reference
     */
    cancel: string;
    /**
     * POST to this URL to send the delivery again.
     * @format uri-reference
     */
    retry: string;
    /** @format uri-reference */
    subscription: string;
    /** @format uri-reference */
    webhook: string;
  };
  next_attempt_at: string | null;
  /** Why the delivery ended, if no attempt says so. expired: it was held for longer than its retry schedule lasts. skipped: its subscription was enabled with `backlog` skip. */
  reason: string | null;
  state: "pending" | "held" | "succeeded" | "failed" | "cancelled";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /** Null: the receiver of the subscription pulls its webhooks. */
  subscription_url: string | null;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export interface DeliveryWhy {
  /** @format date-time */
  accepted_at: string;
  /** How many older deliveries of the subscription are held, counted up to 10,000. Null: it is not held. */
  ahead: number | null;
  /** Whether there are more than `ahead` says. */
  ahead_more: boolean;
  /** The next attempt. If the delivery has ended: the last one. */
  attempt: {
    /** From 1, over all attempts of the delivery. */
    number: number;
    /** How many attempts the retry schedule has. */
    of: number;
    /** From 1, in the retry schedule, which a retry or a replay starts again. Failed probes do not count. */
    position: number;
  };
  /** Actions that would change the state, the best first. */
  change: Change[];
  /** The failures of its receiver since the last success. Null: it is well. */
  circuit: {
    /** @format date-time */
    failing_since: string;
    /** The least number of failures in a row. */
    failures: number;
    last_error: string | null;
    last_error_code: string | null;
    next_probe_at: string | null;
    opened_at: string | null;
    /** closed: attempts have failed, and deliveries are still sent. open: deliveries are held until next_probe_at. half_open: a probe is due or in flight. */
    state: "closed" | "open" | "half_open";
  } | null;
  /** When it was to be delivered (`deliver_at`). Null: at once. */
  deliver_at: string | null;
  ended_at: string | null;
  event_type: string | null;
  /** When it expires if the circuit stays open until then. Null: it does not. */
  expires_at: string | null;
  /**
   * The webhook's id, a dot, and the subscription's id.
   * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
   */
  id: string;
  /** Open requests to the receiver, of all workers together; the figure is at most five seconds old. */
  in_flight: number;
  last_attempt: {
    /** @format date-time */
    at: string;
    duration_ms: number;
    error: string | null;
    error_code: string | null;
    number: number;
    response_code: number | null;
    status: "success" | "failed" | "timeout" | "blocked";
  } | null;
  max_in_flight: number | null;
  /** When its next attempt is due; it may be held then. Null: it has ended. While the circuit is open, see `circuit.next_probe_at`. */
  next_attempt_at: string | null;
  /** Only with strict order. Null: the subscription has none. */
  order: {
    /** The delivery of the same key that goes first. Null: none was found, see `complete`. */
    behind: string | null;
    /** False: more than 4,000 older deliveries are held, and not all of them were looked through. */
    complete: boolean;
    /** Null: it has none. Deliveries without a key share one order. */
    key: string | null;
  } | null;
  rate_limit: {
    limit: number;
    per: string;
  } | null;
  /**
   * The time of this answer, by the database's clock.
   * @format date-time
   */
  read_at: string;
  /** Why it is in this state, for programs. See docs/why.md. */
  reason:
    | "cancelling"
    | "skipping"
    | "scheduled"
    | "retry"
    | "no_worker"
    | "to_be_held"
    | "handed_over"
    | "worker_ended"
    | "waking"
    | "queued"
    | "paused"
    | "disabled"
    | "circuit_open"
    | "leased"
    | "probing"
    | "no_owner"
    | "ordering"
    | "to_be_pulled"
    | "rate_limit"
    | "max_in_flight"
    | "next_of_key"
    | "backlog"
    | "delivered"
    | "expired"
    | "gone"
    | "blocked"
    | "attempts_used_up"
    | "skipped"
    | "subscription_deleted"
    | "cancelled";
  /** Since when the reason holds. Null: the database does not know. */
  since: string | null;
  state: "pending" | "held" | "succeeded" | "failed" | "cancelled";
  subscription: {
    deleted_at: string | null;
    status: "active" | "paused" | "disabled";
    status_changed_at: string | null;
    status_reason: string | null;
  };
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
  /** Why it is in this state, as a sentence for people; a second one says what would change it. Times are in UTC. */
  why: string;
  /** The worker that has had the delivery in memory since it was accepted. Null: none, or only the queue knows. */
  worker: {
    alive: boolean;
    id: number;
  } | null;
  /** With 0, nothing is sent. */
  workers: {
    /** Living workers that send held deliveries. */
    backlogs: number;
    /** Living workers that take jobs from the queue. */
    queue: number;
  };
}

export type EnableSubscriptionData = EnabledSubscription;

export interface EnableSubscriptionPayload {
  /**
   * resume: send its pending and held deliveries. skip: cancel them.
   * @default "resume"
   */
  backlog?: "resume" | "skip";
}

export interface EnabledSubscription {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** How many deliveries have been cancelled so far. */
  skipped: number;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
}

export interface EventType {
  /** The type is no longer to be sent. If the setting `strict` is on, webhooks of this type are refused. */
  archived: boolean;
  /** @format date-time */
  created_at: string;
  description: string | null;
  example: unknown;
  /**
   * An event type: words of letters, digits, _ and - with dots between them.
   * @maxLength 128
   * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
   */
  name: string;
  schema: object | null;
  /** @format date-time */
  updated_at: string;
}

export interface EventTypeSettings {
  /** Refuse webhooks whose event type is not registered or is archived. */
  strict: boolean;
  /** Refuse webhooks whose data does not fit the schema of their event type. This applies to webhooks sent by HTTP; posthorn.send in SQL does not validate data. */
  validate: boolean;
}

export type GetBackfillData = Backfill;

export type GetDeliveryData = Delivery;

export type GetDeliveryWhyData = DeliveryWhy;

export type GetEventTypeData = EventType;

export type GetEventTypeSettingsData = EventTypeSettings;

/** The OpenAPI document. */
export type GetEventTypesDocumentData = Record<string, any>;

/** The OpenAPI document. */
export type GetPublicCatalogueData = Record<string, any>;

/** The current public key, and the previous ones whose private keys still sign. */
export interface GetPublicKeyData {
  previous: {
    /** whpk_ and the 32 bytes of an Ed25519 public key in base64. */
    public_key: string;
    /** @format date-time */
    valid_until: string;
  }[];
  /** whpk_ and the 32 bytes of an Ed25519 public key in base64. */
  public_key: string;
}

export type GetQueueStatsData = QueueStats;

export type GetSentRequestData = SentRequest;

export type GetSessionData = Session;

/** All settings, in the order of the README. */
export interface GetSettingsData {
  settings: Setting[];
}

/** The signature, and the text that was signed. */
export interface GetSignatureData {
  /** For the X-Hub-Signature-256 header. */
  signature: string;
  /** The bytes that were signed, as text. */
  signed_payload: string;
}

export interface GetSignaturePayload {
  payload: unknown;
  /**
   * @minLength 1
   * @maxLength 256
   */
  secret: string;
}

export type GetStatsData = Stats;

export type GetStatsSeriesData = StatsSeries;

export type GetStreamData = string;

/** The subscription. */
export interface GetSubscriptionData {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** Why nothing can be sent to it, such as a secret that cannot be decrypted. Null: there is no problem. */
  problem: string | null;
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
}

export type GetSubscriptionHealthData = SubscriptionHealth;

export type GetTaskData = Task;

export type GetTenantData = Tenant;

export type GetWatchData = Watch;

/** The webhook, the state of each delivery, and the attempts made. */
export interface GetWebhookData {
  /** @format date-time */
  accepted_at: string;
  /** The body that is delivered, as text; only with `include=body`. Null: it is deleted because its retention is over. */
  body?: string | null;
  body_expired: boolean;
  /** The size of the body. Null: the body is deleted. */
  bytes: number | null;
  content_type: string;
  /** When it was to be delivered. Null: at once. */
  deliver_at: string | null;
  /** Ordered by state: failed, waiting after a failed attempt, waiting, cancelled, succeeded; and by subscription within each. If a webhook has more than a thousand deliveries, only the failed and cancelled ones among the later ones are found. Each delivery has its newest 50 attempts; its link `attempts` lists all. */
  deliveries: {
    attempts: {
      attempt_number: number | null;
      duration_ms: number;
      error: string | null;
      error_code: string | null;
      response_code: number | null;
      /** The first KiB of the answer. Null: there was no body, or it is deleted together with the body of the webhook. */
      response_excerpt: string | null;
      status: "success" | "failed" | "timeout" | "blocked";
      /** @format date-time */
      timestamp: string;
      /** How long each phase took, in whole milliseconds, which add up to duration_ms. Null: the phase was not needed or not reached. The phase in which the attempt ended has the time until then. first_byte is the time from the open connection to the head of the answer. Through an egress proxy, connect includes all steps of connecting. dns, connect and tls are at most 32767; body is null if one of them may have been longer. */
      timing_ms: {
        body: number | null;
        connect: number | null;
        /** reused: the request went over a connection that was kept from an earlier one, so it has no dns, connect and tls. Null: there was no connection. */
        connection: "new" | "reused" | null;
        dns: number | null;
        first_byte: number | null;
        tls: number | null;
      };
      /** The header `webhook-timestamp` that was sent, in seconds since 1970, by the clock of the worker. Null: no request was sent. */
      webhook_timestamp: number | null;
    }[];
    attempts_made: number;
    /** Whether the body is deleted because its retention is over. The webhook can then not be sent again. */
    body_expired: boolean;
    ended_at: string | null;
    event_type: string | null;
    /**
     * The webhook's id, a dot, and the subscription's id.
     * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
     */
    id: string;
    links: {
      /** @format uri-reference */
      attempts: string;
      /**
       * POST to this URL to cancel the delivery.
       * @format uri-reference
       */
      cancel: string;
      /**
       * POST to this URL to send the delivery again.
       * @format uri-reference
       */
      retry: string;
      /** @format uri-reference */
      subscription: string;
      /** @format uri-reference */
      webhook: string;
    };
    next_attempt_at: string | null;
    /** Why the delivery ended, if no attempt says so. expired: it was held for longer than its retry schedule lasts. skipped: its subscription was enabled with `backlog` skip. */
    reason: string | null;
    state: "pending" | "held" | "succeeded" | "failed" | "cancelled";
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id: number;
    /** Null: the receiver of the subscription pulls its webhooks. */
    subscription_url: string | null;
    /**
     * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
     * @format uuid
     */
    webhook_id: string;
  }[];
  event_type: string | null;
  /** The headers of this webhook that are sent to the receivers: the `headers` that its sender gave, or those of the request to /ingest (see `forward_headers` of a subscription). Null: there are none, or they are deleted together with the body. */
  headers: Record<string, string> | null;
  links: {
    /** @format uri-reference */
    attempts: string;
    /** @format uri-reference */
    deliveries: string;
    /** @format uri-reference */
    webhook: string;
  };
  /** True: the webhook has more deliveries than these; the link `deliveries` lists all. */
  more_deliveries: boolean;
  /** True: the webhook did not go to the subscriptions with a `filter` that would have been tested, because jsonb of Postgres cannot hold its data (U+0000, half of a surrogate pair, a number with very many digits, thousands of levels). See docs/filters.md. */
  unfilterable: boolean;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

/** The process is running. */
export interface HealthzData {
  status: "ok";
}

/** The names of the event types that were created, and of those that existed and were updated. */
export interface ImportEventTypesData {
  created: string[];
  updated: string[];
}

export interface ImportEventTypesPayload {
  openapi: string;
  webhooks: Record<string, any>;
  [key: string]: unknown;
}

/** The webhook is committed. */
export interface IngestData {
  status: "accepted";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

/** Any JSON. */
export type IngestPayload = any;

export interface Key {
  /** @format date-time */
  created_at: string;
  /** A label inside the key, so that people and secret scanners can tell live keys from test keys. Posthorn treats both alike. */
  environment: "live" | "test";
  expires_at: string | null;
  /** The first characters of the key, to recognize it by. */
  hint: string;
  /**
   * The id of a key.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** When the key was last used, exact to a minute. */
  last_used_at: string | null;
  name: string | null;
  revoked_at: string | null;
  /**
   * read: list and get everything of the tenant. send: send webhooks. manage: change subscriptions, event types and deliveries, and everything that read allows. admin: everything, for all tenants.
   * @maxItems 5
   * @minItems 1
   */
  scopes: ("read" | "send" | "pull" | "manage" | "admin")[];
  /** The tenant that the key is limited to. Null: all tenants. */
  tenant: string | null;
}

/** A page of attempts. next_cursor and the Link header lead to the next page. */
export interface ListAttemptsData {
  data: ListedAttempt[];
  next_cursor: string | null;
}

/** A page of attempts. The Link header leads to the next page. */
export type ListAttemptsLegacyData = {
  /** The number of the attempt, from 1. Null: a duplicate attempt, which another worker had finished first. */
  attempt_number: number | null;
  duration_ms: number;
  /** The error as a sentence for people. */
  error: string | null;
  /** The error as a code for programs, such as timeout_connect. */
  error_code: string | null;
  id: number;
  response_code: number | null;
  status: "success" | "failed" | "timeout" | "blocked";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /**
   * When the attempt ended.
   * @format date-time
   */
  timestamp: string;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}[];

/** A page of backfills. next_cursor and the Link header lead to the next page. */
export interface ListBackfillsData {
  data: Backfill[];
  next_cursor: string | null;
}

/** A page of deliveries. next_cursor and the Link header lead to the next page. */
export interface ListDeliveriesData {
  data: Delivery[];
  next_cursor: string | null;
}

/** A page of event types. next_cursor and the Link header lead to the next page. */
export interface ListEventTypesData {
  data: EventType[];
  next_cursor: string | null;
}

/** A page of keys. next_cursor and the Link header lead to the next page. */
export interface ListKeysData {
  data: Key[];
  next_cursor: string | null;
}

/** A page of problems. next_cursor and the Link header lead to the next page. */
export interface ListProblemsData {
  /**
   * Only if there were more failed attempts than are read: all since this time were read, and some of the older ones. `attempts`, `waiting` and `failed` then say how many there are at least.
   * @format date-time
   */
  complete_since?: string;
  data: ReceiverProblem[];
  next_cursor: string | null;
}

/** A page: up to `limit` subscriptions, or fewer if they are large. With `include=health` at most 100; with a filter, 10,000 subscriptions are read for a page, so a page may be short or empty and not be the last. next_cursor and the Link header lead to the next page. */
export interface ListSubscriptionsData {
  data: SubscriptionRow[];
  next_cursor: string | null;
}

/** All subscriptions, by id. */
export type ListSubscriptionsLegacyData = Subscription[];

/** A page of tasks. next_cursor and the Link header lead to the next page. */
export interface ListTasksData {
  data: Task[];
  next_cursor: string | null;
}

/** A page of tenants. next_cursor and the Link header lead to the next page. */
export interface ListTenantsData {
  data: Tenant[];
  next_cursor: string | null;
}

/** A page of watches. next_cursor and the Link header lead to the next page. */
export interface ListWatchesData {
  data: Watch[];
  next_cursor: string | null;
}

/** A page of webhooks. next_cursor and the Link header lead to the next page. */
export interface ListWebhooksData {
  data: ListedWebhook[];
  next_cursor: string | null;
  /** How far back this page searched: to webhooks accepted, or with response_code or error_code to attempts ended, at this time. Null: to the end. */
  searched_until?: string | null;
}

export interface ListedAttempt {
  /** The number of the attempt, from 1. Null: a duplicate attempt, which another worker had finished first. */
  attempt_number: number | null;
  duration_ms: number;
  /** The error as a sentence for people. */
  error: string | null;
  /** The error as a code for programs, such as timeout_connect. */
  error_code: string | null;
  event_type: string | null;
  id: number;
  links: {
    /** @format uri-reference */
    delivery: string;
    /**
     * POST to this URL to send the delivery again.
     * @format uri-reference
     */
    retry: string;
    /** @format uri-reference */
    subscription: string;
    /** @format uri-reference */
    webhook: string;
  };
  response_code: number | null;
  /** The first KiB of the answer. Null: there was no body, or it is deleted together with the body of the webhook. */
  response_excerpt: string | null;
  status: "success" | "failed" | "timeout" | "blocked";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /**
   * When the attempt ended.
   * @format date-time
   */
  timestamp: string;
  /** How long each phase took, in whole milliseconds, which add up to duration_ms. Null: the phase was not needed or not reached. The phase in which the attempt ended has the time until then. first_byte is the time from the open connection to the head of the answer. Through an egress proxy, connect includes all steps of connecting. dns, connect and tls are at most 32767; body is null if one of them may have been longer. */
  timing_ms: {
    body: number | null;
    connect: number | null;
    /** reused: the request went over a connection that was kept from an earlier one, so it has no dns, connect and tls. Null: there was no connection. */
    connection: "new" | "reused" | null;
    dns: number | null;
    first_byte: number | null;
    tls: number | null;
  };
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
  /** The header `webhook-timestamp` that was sent, in seconds since 1970, by the clock of the worker. Null: no request was sent. */
  webhook_timestamp: number | null;
}

export interface ListedWebhook {
  /** @format date-time */
  accepted_at: string;
  body_expired: boolean;
  /** The size of the body. Null: the body is deleted. */
  bytes: number | null;
  content_type: string;
  /** When it was to be delivered. Null: at once. */
  deliver_at: string | null;
  /** Only with `include=deliveries`: how many of its deliveries are in each state, counted up to 1,000. A state without deliveries is left out. */
  deliveries?: {
    cancelled?: number;
    failed?: number;
    held?: number;
    pending?: number;
    succeeded?: number;
  };
  event_type: string | null;
  links: {
    /** @format uri-reference */
    attempts: string;
    /** @format uri-reference */
    deliveries: string;
    /** @format uri-reference */
    webhook: string;
  };
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export type MetricsData = string;

export type PauseSubscriptionData = Subscription;

export interface PauseSubscriptionPayload {
  /** A note for people; shown as status_reason. */
  reason?: string | null;
}

/** The API and the database answer. */
export interface PingData {
  database: {
    tables: string[];
  };
  message: string;
  version: string;
}

export interface Portal {
  /** read: look at everything. manage: also change subscriptions, and retry and cancel deliveries. */
  access: "read" | "manage";
  /** The name of the tenant. */
  name: string | null;
  screens: (
    | "overview"
    | "webhooks"
    | "subscriptions"
    | "problems"
    | "event-types"
    | "tasks"
  )[];
  theme: Theme;
}

export interface PortalSettings {
  /** The colour of buttons and links, as #rrggbb. Null: the one of the dashboard. */
  accent?: string | null;
  /** The colour behind the logo, as #rrggbb. Null: the one of the dashboard. */
  header?: string | null;
  /** An image as a URL such as data:image/svg+xml;base64,…: PNG, JPEG, WebP or SVG, of at most 16384 characters. It is in the page itself, so that the page loads nothing from elsewhere. Null: no logo. */
  logo?: string | null;
  /** auto: light or dark, as the browser of the customer prefers. */
  mode?: "light" | "dark" | "auto";
  /**
   * The origins whose pages may embed the portal in an iframe, such as https://app.example.com; http only for localhost and 127.0.0.1. Left out: none may.
   * @maxItems 20
   * @uniqueItems true
   */
  origins?: string[];
}

export interface Problem {
  /** What is wrong with this request, and what would be right. */
  detail: string;
  /** The fields that are wrong. */
  errors?: {
    field: string;
    message: string;
  }[];
  status: number;
  title: string;
  /** A URN that identifies the kind of problem; it never changes. */
  type: string;
}

/** The deliveries, the oldest first; none if nothing was due in that time. */
export interface PullDeliveriesData {
  deliveries: PulledDelivery[];
  /** When the leases end. Null: there are no deliveries. */
  leased_until: string | null;
}

export interface PulledDelivery {
  /** The number of this attempt, from 1. */
  attempt_number: number;
  /** The body, as `encoding` says. Signatures cover its bytes. */
  body: string;
  /** base64: the body is not UTF-8. */
  encoding: "utf-8" | "base64";
  event_type: string | null;
  /** The headers that a request with this webhook would have, with names in lower case: among them webhook-id, webhook-timestamp and the signatures, which are made when it is pulled. */
  headers: Record<string, string>;
  /**
   * Names the delivery and this attempt of it, for acknowledging it.
   * @minLength 1
   * @maxLength 100
   */
  token: string;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export interface QueueStats {
  /** Deliveries that are due now and wait for a worker. */
  due: number;
  /** Whether there may be more: only the 100,000 deliveries of all tenants that have been due or held for the longest are counted. */
  due_more: boolean;
  /** Deliveries that are held now outside the queue, by what their subscription is or asks for: paused; disabled; its circuit is open; strict ordering; a rate limit or max_in_flight; or its receiver takes no more at the moment. Up to 10,000 of a subscription and 100,000 together are counted. */
  held: {
    circuit_open: number;
    disabled: number;
    ordering: number;
    paused: number;
    pull: number;
    rate_limit: number;
    receiver_busy: number;
  };
  /** Whether more are held than that. */
  held_more: boolean;
  /** When the oldest of them was due. Null: none waits. */
  oldest_due_at: string | null;
  /** Worker processes that are alive. With 0, nothing is delivered. */
  workers: number;
}

/** The process is ready. */
export interface ReadyzData {
  status: "ok";
}

export interface ReceiverProblem {
  /** The failed attempts with this cause in the window. */
  attempts: number;
  /** The error code of the failed attempts, as `error_code` of an attempt. expired: deliveries expired without an attempt while the circuit was open. disabled: the subscription was disabled before the window, and deliveries have been held since. other: a code of another version. */
  cause:
    | "blocked"
    | "connection"
    | "dns"
    | "gone"
    | "http_status"
    | "lease_ended"
    | "mail"
    | "payload_unreadable"
    | "protocol"
    | "proxy"
    | "pull_failed"
    | "redirect"
    | "refused"
    | "reset"
    | "subscription"
    | "timeout_connect"
    | "timeout_response"
    | "tls"
    | "too_large"
    | "unreachable"
    | "expired"
    | "disabled"
    | "other";
  /** Whether its deliveries are held because many attempts failed in a row. */
  circuit_open: boolean;
  /** The newest error as a sentence for people. */
  error: string | null;
  /** Deliveries whose last attempt failed so, and that have failed. */
  failed: number;
  /**
   * The oldest of these deliveries, as an example.
   * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
   */
  first_delivery: string;
  /** Held deliveries of the subscription, counted up to 1,000. They are counted in its newest problem only. */
  held: number;
  /** Whether more deliveries are held than `held` says. */
  held_more: boolean;
  /** The subscription and the cause. It stays the same while the problem lasts. */
  id: string;
  /**
   * When the last of these attempts failed.
   * @format date-time
   */
  last_at: string;
  /**
   * The newest of these deliveries, as an example.
   * @pattern ^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\.[1-9][0-9]{0,9}$
   */
  last_delivery: string;
  next_step: Change;
  /** The status of the answers, for the causes http_status and redirect. */
  response_code: number | null;
  /** The problem as a sentence for people. Times are in UTC. */
  sentence: string;
  /**
   * When the first of these attempts failed: in the window, or before it if none has succeeded since.
   * @format date-time
   */
  since: string;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  subscription_status: "active" | "paused" | "disabled";
  subscription_url: string | null;
  /** Deliveries whose last attempt failed so, and that wait for their next attempt. */
  waiting: number;
}

export type RecoverSubscriptionData = Task;

export interface RecoverSubscriptionPayload {
  /**
   * The most deliveries to send again in a second, so that the receiver is not overloaded.
   * @min 1
   * @max 10000
   * @default 100
   */
  rate?: number;
  /**
   * Only deliveries of webhooks accepted at or after this time.
   * @format date-time
   */
  since: string;
  /**
   * Only deliveries of webhooks accepted before this time. Left out: now.
   * @format date-time
   */
  until?: string;
}

/** What is sent. */
export interface ReplayLatestData {
  /** How many deliveries are due now and were not before. Deliveries that were due or held already are left as they are. */
  due: number;
  /** The webhooks, the newest first. They are sent in the order of acceptance. */
  webhook_ids: string[];
}

export interface ReplayLatestPayload {
  /**
   * Only webhooks of these event types: exact types, prefixes such as `order.*`, or `*`. Left out: all that the subscription gets.
   * @maxItems 100
   * @minItems 1
   */
  event_types?: string[];
  /**
   * The most webhooks to send again.
   * @min 1
   * @max 100
   */
  last: number;
}

export type ReplaySubscriptionData = Task;

export interface ReplaySubscriptionPayload {
  /**
   * Only deliveries of these event types: exact types, prefixes such as `order.*`, or `*`. Left out: all types.
   * @maxItems 100
   * @minItems 1
   */
  event_types?: string[];
  /**
   * The most deliveries to send again in a second, so that the receiver is not overloaded.
   * @min 1
   * @max 10000
   * @default 100
   */
  rate?: number;
  /**
   * Only deliveries of webhooks accepted at or after this time.
   * @format date-time
   */
  since: string;
  /**
   * Only deliveries in these states. Left out: failed and cancelled.
   * @maxItems 3
   * @minItems 1
   * @uniqueItems true
   */
  states?: ("succeeded" | "failed" | "cancelled")[];
  /**
   * Only deliveries of webhooks accepted before this time. Left out: now.
   * @format date-time
   */
  until?: string;
}

export type ResumeSubscriptionData = Subscription;

export type RetryDeliveryData = Delivery;

export type RevokeKeyData = Key;

/** The new secret is in use. */
export interface RotateSecretData {
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** Until when the previous secret still signs. Null: it no longer signs, or there was none. */
  previous_valid_until: string | null;
  /** whpk_ and the 32 bytes of an Ed25519 public key in base64. */
  public_key?: string;
  /** The secret that Posthorn generated. It is never shown again. */
  secret?: string;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how. */
  warning?: string;
}

export interface RotateSecretPayload {
  /**
   * How long the earlier secrets still sign, from 0s to 30d. Left out: 24h. 0s: all earlier secrets stop signing at once.
   * @maxLength 20
   */
  overlap?: string;
  /**
   * The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again.
   * @maxLength 256
   */
  secret?: string;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme?: "hmac" | "ed25519";
}

export type SendWebhookData = AcceptedWebhook;

export interface SendWebhookPayload {
  /**
   * A subscription that lists channels gets the webhook only if it lists one of these.
   * @maxItems 20
   * @minItems 1
   */
  channels?: string[];
  /** Any JSON. It is delivered byte for byte. */
  data: unknown;
  /**
   * When to deliver the webhook (RFC 3339, with an offset): at most 30 days ahead. A time in the past means at once. The subscriptions that it goes to are chosen when it is accepted.
   * @format date-time
   */
  deliver_at?: string;
  /**
   * An event type: words of letters, digits, _ and - with dots between them. It must not begin with `posthorn.`, which is kept for webhooks of Posthorn itself.
   * @maxLength 128
   * @pattern ^(?!posthorn\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
   */
  event_type: string;
  /** Headers that all deliveries of this webhook get; at most 4,096 bytes together. Their names arrive in lower case. A header of the same name in the `headers` of a subscription goes first. Headers of the connection, of the body, of Posthorn and of proxies, and those with credentials, are refused. */
  headers?: Record<string, string>;
  /**
   * For subscriptions with strict ordering: webhooks with the same key are delivered one after another; webhooks with different keys do not wait for each other.
   * @minLength 1
   * @maxLength 256
   */
  ordering_key?: string;
  /**
   * true: the delivered body is `data` alone. false: it is `{"type", "timestamp", "data"}`, as Standard Webhooks defines it.
   * @default false
   */
  raw?: boolean;
  /**
   * Send to this subscription only, whatever its event types, channels and filter are.
   * @min 1
   * @max 2147483647
   */
  subscription_id?: number;
}

/** All webhooks are committed, in one transaction. */
export interface SendWebhooksData {
  status: "accepted";
  /** The webhooks in the order of the request. */
  webhooks: AcceptedWebhook[];
}

export interface SendWebhooksPayload {
  /**
   * @maxItems 1000
   * @minItems 1
   */
  webhooks: {
    /**
     * A subscription that lists channels gets the webhook only if it lists one of these.
     * @maxItems 20
     * @minItems 1
     */
    channels?: string[];
    /** Any JSON. It is delivered byte for byte. */
    data: unknown;
    /**
     * When to deliver the webhook (RFC 3339, with an offset): at most 30 days ahead. A time in the past means at once. The subscriptions that it goes to are chosen when it is accepted.
     * @format date-time
     */
    deliver_at?: string;
    /**
     * An event type: words of letters, digits, _ and - with dots between them. It must not begin with `posthorn.`, which is kept for webhooks of Posthorn itself.
     * @maxLength 128
     * @pattern ^(?!posthorn\.)[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type: string;
    /** Headers that all deliveries of this webhook get; at most 4,096 bytes together. Their names arrive in lower case. A header of the same name in the `headers` of a subscription goes first. Headers of the connection, of the body, of Posthorn and of proxies, and those with credentials, are refused. */
    headers?: Record<string, string>;
    /**
     * For subscriptions with strict ordering: webhooks with the same key are delivered one after another; webhooks with different keys do not wait for each other.
     * @minLength 1
     * @maxLength 256
     */
    ordering_key?: string;
    /**
     * true: the delivered body is `data` alone. false: it is `{"type", "timestamp", "data"}`, as Standard Webhooks defines it.
     * @default false
     */
    raw?: boolean;
  }[];
}

export interface SentRequest {
  headers: {
    name: string;
    /** Why the value is not known, or may have been another. Null: this is what was sent. */
    note: string | null;
    /** Null: not known. */
    value: string | null;
  }[];
  method: "POST";
  /** Sentences about what is uncertain besides the headers. */
  notes: string[];
  /** False: the attempt ended before a request was sent, and there are no headers. */
  sent: boolean;
  /** The URL of the subscription as it is now. Null: not known. */
  url: string | null;
}

export interface Session {
  /** When the session ends. Null: there is none. */
  expires_at: string | null;
  portal: Portal | null;
  /** Whether requests need a key. False: everything can be read and changed without signing in. */
  required: boolean;
  /** What the request may do, with the scopes that others include. */
  scopes: ("read" | "send" | "pull" | "manage" | "admin")[];
  /** Whether the request has a key, or the cookie of a session. */
  signed_in: boolean;
  /** The tenant that the request is limited to. Null: all tenants. */
  tenant: string | null;
}

export interface Setting {
  /** The text that applies if the setting is unset. */
  default: string | null;
  /** Whether the text, or a part of it such as a password, is never shown. */
  is_secret: boolean;
  /** A description of the setting. Code is in backticks. */
  meaning: string;
  /** The name of the variable in the environment. */
  name: string;
  /** Where the text comes from: the environment, the file .env in the working directory, or the default. */
  source: "environment" | ".env" | "default";
  /** The text that is in force. Of a URL with a password, only scheme, host, port and path. Null: the setting is not set and has no default; or, if `is_secret` is true and `source` is not default, it is set and not shown. */
  value: string | null;
}

export interface Stats {
  /** Webhooks accepted in the window. With subscription_id: deliveries created for that subscription in the window. */
  accepted: number;
  /** Percentiles of the durations of attempts. With more than 10,000 attempts in the window, they are computed from counts of classes of durations, such as 150 to 200 ms. */
  attempt_latency_ms: {
    /** Milliseconds */
    p50: number | null;
    /** Milliseconds */
    p95: number | null;
    /** Milliseconds */
    p99: number | null;
  };
  /** Attempts made in the window. */
  attempts: number;
  /** Deliveries that failed for good in the window. */
  failed: number;
  /** Deliveries that are held now: their receiver is slow or failing, or their subscription is paused. */
  held: number;
  oldest_due_at: string | null;
  /** Deliveries that are due now and wait for a worker. */
  queue_depth: number;
  /** Deliveries that have had a failed attempt and now wait for the next attempt. */
  retrying: number;
  /** The id of a subscription. */
  subscription_id: number | null;
  /** Deliveries that succeeded in the window. */
  succeeded: number;
  /** The share of the attempts that succeeded, from 0 to 1. Null: there were no attempts. */
  success_rate: number | null;
  /** The length of time, up to now, that the figures are about. */
  window: string;
}

export interface StatsSeries {
  /**
   * Everything before this time is counted, exactly. It is one to two minutes ago, or longer if a transaction that writes to the database has been open for longer.
   * @format date-time
   */
  counted_until: string;
  /** The length of time that a point stands for. */
  period: string;
  /** A point for each period of the window, oldest first, without gaps. */
  points: {
    /** Webhooks accepted. With subscription_id: deliveries created for that subscription. */
    accepted: number;
    /**
     * When the period begins.
     * @format date-time
     */
    at: string;
    /** Percentiles of the durations of attempts. They are computed from counts of classes of durations, such as 150 to 200 ms. */
    attempt_latency_ms: {
      /** Milliseconds */
      p50: number | null;
      /** Milliseconds */
      p95: number | null;
      /** Milliseconds */
      p99: number | null;
    };
    /** Attempts made. */
    attempts: number;
    /** Attempts that did not succeed. */
    failed: number;
    /** Attempts that succeeded. */
    succeeded: number;
    /** The share of the attempts that succeeded, from 0 to 1. */
    success_rate: number | null;
  }[];
  /** The id of a subscription. */
  subscription_id: number | null;
  /** All points together. */
  total: {
    /** Webhooks accepted. With subscription_id: deliveries created for that subscription. */
    accepted: number;
    /** Percentiles of the durations of attempts. They are computed from counts of classes of durations, such as 150 to 200 ms. */
    attempt_latency_ms: {
      /** Milliseconds */
      p50: number | null;
      /** Milliseconds */
      p95: number | null;
      /** Milliseconds */
      p99: number | null;
    };
    /** Attempts made. */
    attempts: number;
    /** Attempts that did not succeed. */
    failed: number;
    /** Attempts that succeeded. */
    succeeded: number;
    /** The share of the attempts that succeeded, from 0 to 1. */
    success_rate: number | null;
  };
  /** The length of time, up to now, that the series covers. */
  window: string;
}

export interface Subscription {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
}

export interface SubscriptionHealth {
  circuit: {
    next_probe_at: string | null;
    opened_at: string | null;
    /** closed: deliveries are sent. open: deliveries are held until next_probe_at. half_open: a probe (one trial delivery) is due or in flight. */
    state: "closed" | "open" | "half_open";
  };
  /** The time of the first failed attempt since the last success. Null until three attempts in a row have failed. */
  failing_since: string | null;
  /** The least number of attempts that have failed since then. */
  failures: number;
  /** The number of held deliveries, counted up to 10,000. */
  held: number;
  /** Whether more deliveries are held than `held` says. */
  held_more: boolean;
  /** Open requests of all workers together; the figure is at most five seconds old. */
  in_flight: number;
  /** The newest error among its recent attempts. */
  last_error: {
    /** @format date-time */
    at: string;
    error: string | null;
    error_code: string | null;
  } | null;
  /** When the oldest webhook with a held delivery was accepted. */
  oldest_held_at: string | null;
  /** Figures of its newest attempts, at most 1,000. */
  recent: {
    attempts: number;
    /** Attempts a second over the last minute. */
    per_second: number;
    /** 0 to 1 */
    success_rate: number | null;
  };
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
}

export interface SubscriptionHealthSummary {
  circuit: {
    next_probe_at: string | null;
    opened_at: string | null;
    /** closed: deliveries are sent. open: deliveries are held until next_probe_at. half_open: a probe (one trial delivery) is due or in flight. */
    state: "closed" | "open" | "half_open";
  };
  /** The time of the first failed attempt since the last success. Null until three attempts in a row have failed. */
  failing_since: string | null;
  /** The number of held deliveries, counted up to 100. */
  held: number;
  /** Whether more deliveries are held than `held` says. */
  held_more: boolean;
  /** The attempts of the last 24 hours of the clock, the oldest first, without gaps. The newest hour is counted up to one or two minutes ago. */
  hours: {
    /**
     * When the hour begins.
     * @format date-time
     */
    at: string;
    attempts: number;
    /** Attempts that did not succeed. */
    failed: number;
  }[];
}

export interface SubscriptionRow {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  health?: SubscriptionHealthSummary;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
}

export interface Task {
  /** The number of deliveries that the task has made pending again, or has cancelled. */
  changed: number;
  /** @format date-time */
  created_at: string;
  ended_at: string | null;
  /** Why the task failed. Null: it did not fail. */
  error: string | null;
  event_types: string[] | null;
  /** The number of deliveries that the task has examined so far. */
  examined: number;
  /**
   * The id of a task.
   * @format uuid
   */
  id: string;
  /** replay and recover: send deliveries again. cancel: cancel pending and held deliveries. delete: cancel those of a deleted subscription. */
  kind: "replay" | "recover" | "cancel" | "delete";
  links: {
    /**
     * POST to this URL to cancel the task.
     * @format uri-reference
     */
    cancel: string;
    /** @format uri-reference */
    self: string;
  };
  /** The progress, from 0 to 1. Null: it is not known before the end. */
  progress: number | null;
  /** The most deliveries a second. */
  rate: number | null;
  since: string | null;
  started_at: string | null;
  state: "waiting" | "running" | "succeeded" | "failed" | "cancelled";
  states: ("pending" | "held" | "succeeded" | "failed" | "cancelled")[];
  /** The id of a subscription. */
  subscription_id: number | null;
  until: string | null;
}

export interface Tenant {
  /** @format date-time */
  created_at: string;
  id: string;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  name: string | null;
  /** The origins that may embed the portal of the tenant, and its appearance. The object replaces the earlier one. Null: no origin may embed it, and it looks like the dashboard. */
  portal: PortalSettings | null;
  /** How long the bodies of its webhooks and the answers of receivers are kept: 1h to 3650d. It can shorten POSTHORN_PAYLOAD_RETENTION, not lengthen it. Null: POSTHORN_PAYLOAD_RETENTION applies. */
  retention: string | null;
  /** @format date-time */
  updated_at: string;
}

/** The webhooks that were tried, the latest first. */
export interface TestFilterData {
  matched: number;
  /** How many webhooks were tried. */
  tested: number;
  webhooks: {
    /** @format date-time */
    accepted_at: string;
    channels: string[] | null;
    /**
     * An event type: words of letters, digits, _ and - with dots between them.
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type: string;
    matches: boolean;
    /**
     * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
     * @format uuid
     */
    webhook_id: string;
  }[];
}

export interface TestFilterPayload {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels?: string[] | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types?: string[] | null;
  /**
   * Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit.
   * @minLength 1
   * @maxLength 1000
   */
  filter: string;
}

/** The result of the test. */
export interface TestSubscriptionData {
  /** The error as a sentence for people. */
  error: string | null;
  error_code: string | null;
  /** The receiver's answer. Null: it did not answer. */
  response: {
    /** The first KiB of the body of the answer. */
    body_excerpt: string | null;
    headers: Record<string, string | string[]>;
    status_code: number;
  } | null;
  /** The status that a delivery attempt with this result would have. */
  status: "success" | "failed" | "timeout" | "blocked";
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  subscription_id: number;
  /** How long each phase took, in milliseconds. Null: the phase was not reached or not needed. The phase in which the request ended has the time until then. first_byte is the time from the open connection to the head of the answer. Through an egress proxy, connect includes all steps of connecting. */
  timing_ms: {
    body: number | null;
    connect: number | null;
    dns: number | null;
    first_byte: number | null;
    tls: number | null;
    total: number;
  };
  /**
   * The URL to which webhooks are delivered: http or https, without a user name or password, at a public address. For notices to people also `mailto:` and an address, if there is a mail server; that needs a key with the scope `admin`.
   * @minLength 1
   * @maxLength 2048
   */
  url: string;
  /**
   * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
   * @format uuid
   */
  webhook_id: string;
}

export interface TestSubscriptionPayload {
  /** Any JSON. */
  data?: unknown;
  /**
   * An event type: words of letters, digits, _ and - with dots between them.
   * @maxLength 128
   * @default "posthorn.test"
   * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
   */
  event_type?: string;
}

export interface Theme {
  /** The colour of buttons and links, as #rrggbb. Null: the one of the dashboard. */
  accent: string | null;
  /** The colour behind the logo, as #rrggbb. Null: the one of the dashboard. */
  header: string | null;
  /** An image as a URL such as data:image/svg+xml;base64,…: PNG, JPEG, WebP or SVG, of at most 16384 characters. It is in the page itself, so that the page loads nothing from elsewhere. Null: no logo. */
  logo: string | null;
  /** auto: light or dark, as the browser of the customer prefers. */
  mode: "light" | "dark" | "auto";
}

export type UpdateEventTypeData = EventType;

export interface UpdateEventTypePayload {
  archived?: boolean;
  description?: string | null;
  /** An example of the data, which must fit the schema. At most 65536 bytes and 256 levels. Null: no example. */
  example?: unknown;
  /** JSON Schema (draft 2020-12) of the data. It must not refer to anything outside of itself. At most 32768 bytes and 256 levels. Null: no schema. */
  schema?: object | null;
}

export type UpdateEventTypeSettingsData = EventTypeSettings;

export interface UpdateEventTypeSettingsPayload {
  /** Refuse webhooks whose event type is not registered or is archived. */
  strict?: boolean;
  /** Refuse webhooks whose data does not fit the schema of their event type. This applies to webhooks sent by HTTP; posthorn.send in SQL does not validate data. */
  validate?: boolean;
}

/** The subscription as it is now. */
export interface UpdateSubscriptionData {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
  /** Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how. */
  warning?: string;
}

/** The subscription as it is now. */
export interface UpdateSubscriptionLegacyData {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels: string[] | null;
  /** @format date-time */
  created_at: string;
  description: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter: string | null;
  /** webhook: the receiver is a program. notice: it gets Posthorn's notices to people about subscriptions that fail, are disabled or recover, as `{"text": "…"}`, which Slack and compatible services show, or as an e-mail if the URL is `mailto:`. It gets nothing else. */
  format: "webhook" | "notice";
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers: string[] | null;
  has_secret: boolean;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers: Record<string, string> | null;
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight: number | null;
  message: string;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule: string | null;
  /** Until when a replaced secret still signs. Null: only the current secret signs. */
  secret_overlap_until: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header: string | null;
  /** hmac: signature v1 of Standard Webhooks, with a secret that both sides know. ed25519: signature v1a, with a private key that never leaves Posthorn; receivers verify with the public key. */
  signature_scheme: "hmac" | "ed25519";
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template: string | null;
  /** active: deliveries are sent. paused: deliveries are held until the subscription is resumed. disabled: the receiver failed for too long or answered 410, and the subscription gets no new webhooks by event type. */
  status: "active" | "paused" | "disabled";
  status_reason: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout: string | null;
  /** @format date-time */
  updated_at: string;
  /** The URL to which webhooks are delivered, as above. Null: its receiver pulls its webhooks by GET /v1/subscriptions/{subscription_id}/pull. */
  url: string | null;
  verify: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
  } | null;
  /** Only if the request set a secret that the libraries of Standard Webhooks cannot verify as they are: which signature header verifies how. */
  warning?: string;
}

export interface UpdateSubscriptionLegacyPayload {
  /**
   * The id of a subscription.
   * @min 1
   * @max 2147483647
   */
  id: number;
  /**
   * The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again.
   * @maxLength 256
   */
  secret?: string;
  /**
   * The URL to which webhooks are delivered: http or https, without a user name or password, at a public address. For notices to people also `mailto:` and an address, if there is a mail server; that needs a key with the scope `admin`.
   * @minLength 1
   * @maxLength 2048
   */
  url?: string;
}

export interface UpdateSubscriptionPayload {
  /** Limits webhooks sent by event type to those that have at least one of these channels. Null: no limit. */
  channels?: string[] | null;
  description?: string | null;
  /** The event types that the subscription gets: exact types, prefixes such as `order.*`, or `*`. Null: all types. Empty: none; it gets only webhooks that are sent to it alone, such as those of /ingest. */
  event_types?: string[] | null;
  /** Only without a URL: the subscription is deleted when nobody has pulled for this time, 2m to 365d, and no lease lasts. Null: it stays. */
  expire_after?: string | null;
  /** Limits webhooks sent by event type to those whose `data` matches this JSON path of Postgres: a comparison, or a path with `?( )` that finds something. See docs/filters.md. Answers show it as Postgres writes it. Null: no limit. */
  filter?: string | null;
  /** The headers of a request to /ingest that are sent to the receiver with the webhook, such as X-Gitlab-Event. Null: those of the source in `verify`, such as X-GitHub-Event and X-GitHub-Delivery for github. Empty: none. Headers of the same name that Posthorn or `headers` sets go first. */
  forward_headers?: string[] | null;
  /** Headers that are added to every delivery. Every key that can read the subscription sees them. */
  headers?: Record<string, string> | null;
  /** The content types that /ingest takes for this subscription besides JSON. Such a body is delivered byte for byte. Null: those of the source in `verify`, which are forms for github and slack. Empty: only JSON. */
  ingest_content_types?: string[] | null;
  /** The most requests to open at once, counted over all processes. Null: Posthorn finds out how many the receiver takes. */
  max_in_flight?: number | null;
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata?: Record<string, string> | null;
  /** none: deliveries may overtake each other. strict: deliveries are sent one at a time in the order of acceptance; a delivery that fails holds back the later ones until it has ended. */
  ordering?: "none" | "strict";
  /** The most requests in a period, spread evenly, counted over all processes. Null: no limit. */
  rate_limit?: {
    /**
     * @min 1
     * @max 1000000
     */
    limit: number;
    /**
     * A duration: 100ms to 1d.
     * @maxLength 20
     */
    per: string;
  } | null;
  /** The delays before attempts 2, 3, …, written as in POSTHORN_RETRY_SCHEDULE. Null: that setting applies. */
  retry_schedule?: string | null;
  /** The key that signs deliveries and, for /ingest, verifies webhooks that are handed in. Any text, or whsec_ and 24 to 64 bytes in base64 (Standard Webhooks), or whsk_ and an Ed25519 private key in base64, which signs deliveries only. It is never shown again. */
  secret?: string | null;
  /** The text that is signed for the additional header, with {body}, {timestamp} and {id}. Null: {body}. */
  signature_content?: string | null;
  /** The name of an additional signature header, for receivers that were built for another sender. With hmac it is HMAC-SHA256, and its key is the characters of the secret. */
  signature_header?: string | null;
  /** The value of the additional header, with {hex} or {base64} for the signature, and {timestamp} and {id}. Null: {hex}. */
  signature_template?: string | null;
  /** The longest time for one attempt, from DNS to the last byte of the answer: 100ms to 5m. Null: POSTHORN_DELIVERY_TIMEOUT applies. */
  timeout?: string | null;
  /**
   * The URL to which webhooks are delivered: http or https, without a user name or password, at a public address. For notices to people also `mailto:` and an address, if there is a mail server; that needs a key with the scope `admin`.
   * @minLength 1
   * @maxLength 2048
   */
  url?: string;
  /** How the source that hands webhooks in by /ingest signs them. With a valid signature the source needs no key; webhooks without one are refused. Null: /ingest verifies X-Hub-Signature-256 with `secret`, if there is one. */
  verify?: {
    /** Only for the scheme hmac. Left out: sha256. */
    algorithm?: "sha256" | "sha512" | "sha1";
    /** Only for the scheme hmac. Left out: hex. */
    encoding?: "hex" | "base64";
    /**
     * Only for the scheme hmac: the header with the signature.
     * @minLength 1
     * @maxLength 100
     */
    header?: string;
    /**
     * Only for the scheme hmac: the text before the signature in the header. Left out: none.
     * @maxLength 50
     */
    prefix?: string;
    scheme:
      | "github"
      | "stripe"
      | "shopify"
      | "slack"
      | "standard-webhooks"
      | "hmac";
    /**
     * The secret that the source gave you. Its characters are the key. For standard-webhooks: whsec_ and base64, or whpk_ and a public key. It is never shown.
     * @minLength 1
     * @maxLength 256
     */
    secret: string;
  } | null;
}

export type UpdateTenantData = Tenant;

export interface UpdateTenantPayload {
  /** Your own keys and values. Posthorn stores and shows them, and does not use them. */
  metadata?: Record<string, string> | null;
  name?: string | null;
  /** The origins that may embed the portal of the tenant, and its appearance. The object replaces the earlier one. Null: no origin may embed it, and it looks like the dashboard. */
  portal?: PortalSettings | null;
  /** How long the bodies of its webhooks and the answers of receivers are kept: 1h to 3650d. It can shorten POSTHORN_PAYLOAD_RETENTION, not lengthen it. Null: POSTHORN_PAYLOAD_RETENTION applies. */
  retention?: string | null;
}

export interface Watch {
  /** Updates of other columns do not count. */
  columns: string[] | null;
  /** False if a trigger of the watch is disabled. */
  enabled: boolean;
  /** The first part of the event types. */
  event_type: string;
  /** How many webhooks could not be sent, with skip. */
  failures: number;
  /**
   * The id of a watch.
   * @min 1
   * @max 2147483647
   */
  id: number;
  last_error: string | null;
  last_failed_at: string | null;
  /** raise or skip. */
  on_error: string;
  /** Of insert, update and delete. */
  ops: string[];
  ordering_key: string | null;
  /** The role with whose rights the condition is evaluated. */
  owner: string;
  /** The columns that are sent. Null: all. */
  payload_columns: string[] | null;
  /** statement or row. */
  per: string;
  schema: string;
  table: string;
  tenant: string | null;
  tenant_column: string | null;
  /** The condition on the new and the old row. */
  when: string | null;
  with_old: boolean;
}

// The requests are sent by request.ts.

import { type RequestOptions, request } from "./request.ts";
/** Acknowledge deliveries that were pulled: `POST /v1/subscriptions/{subscription_id}/acknowledge` */
export const acknowledgeDeliveries = (
  subscriptionId: number,
  body: AcknowledgeDeliveriesPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<AcknowledgeDeliveriesData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/acknowledge`,
    { query, body, ofTenant: true, ...options },
  );
/** Cancel a backfill: `POST /v1/backfills/{backfill_id}/cancel` */
export const cancelBackfill = (
  backfillId: number,
  options: RequestOptions = {},
): Promise<CancelBackfillData> =>
  request("POST", `/v1/backfills/${encodeURIComponent(backfillId)}/cancel`, {
    ...options,
  });
/** Cancel pending and held deliveries: `POST /v1/deliveries/cancel` */
export const cancelDeliveries = (
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: CancelDeliveriesPayload,
  options: RequestOptions = {},
): Promise<CancelDeliveriesData> =>
  request("POST", `/v1/deliveries/cancel`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Cancel a delivery that is pending or held: `POST /v1/deliveries/{delivery_id}/cancel` */
export const cancelDelivery = (
  deliveryId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<CancelDeliveryData> =>
  request("POST", `/v1/deliveries/${encodeURIComponent(deliveryId)}/cancel`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Cancel a task: `POST /v1/tasks/{task_id}/cancel` */
export const cancelTask = (
  taskId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<CancelTaskData> =>
  request("POST", `/v1/tasks/${encodeURIComponent(taskId)}/cancel`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Cancel the pending and held deliveries of a webhook: `POST /v1/webhooks/{webhook_id}/cancel` */
export const cancelWebhook = (
  webhookId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<CancelWebhookData> =>
  request("POST", `/v1/webhooks/${encodeURIComponent(webhookId)}/cancel`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Send the existing rows of a watched table: `POST /v1/watches/{watch_id}/backfills` */
export const createBackfill = (
  watchId: number,
  body?: CreateBackfillPayload,
  options: RequestOptions = {},
): Promise<CreateBackfillData> =>
  request("POST", `/v1/watches/${encodeURIComponent(watchId)}/backfills`, {
    body,
    ...options,
  });
/** Register an event type: `POST /v1/event-types` */
export const createEventType = (
  body: CreateEventTypePayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<CreateEventTypeData> =>
  request("POST", `/v1/event-types`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Create a key: `POST /v1/keys` */
export const createKey = (
  body: CreateKeyPayload,
  options: RequestOptions = {},
): Promise<CreateKeyData> => request("POST", `/v1/keys`, { body, ...options });
/** Create a link to the portal of a tenant: `POST /v1/tenants/{tenant_id}/portal` */
export const createPortalLink = (
  tenantId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: CreatePortalLinkPayload,
  options: RequestOptions = {},
): Promise<CreatePortalLinkData> =>
  request("POST", `/v1/tenants/${encodeURIComponent(tenantId)}/portal`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Open a portal by its link: `POST /v1/session/portal` */
export const createPortalSession = (
  body: CreatePortalSessionPayload,
  options: RequestOptions = {},
): Promise<CreatePortalSessionData> =>
  request("POST", `/v1/session/portal`, { body, ...options });
/** Sign in to the dashboard: `POST /v1/session` */
export const createSession = (
  body: CreateSessionPayload,
  options: RequestOptions = {},
): Promise<CreateSessionData> =>
  request("POST", `/v1/session`, { body, ...options });
/** Create a subscription: `POST /v1/subscriptions` */
export const createSubscription = (
  body: CreateSubscriptionPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<CreateSubscriptionData> =>
  request("POST", `/v1/subscriptions`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Create a tenant: `POST /v1/tenants` */
export const createTenant = (
  body?: CreateTenantPayload,
  options: RequestOptions = {},
): Promise<CreateTenantData> =>
  request("POST", `/v1/tenants`, { body, ...options });
/** Watch a table: `POST /v1/watches` */
export const createWatch = (
  body: CreateWatchPayload,
  options: RequestOptions = {},
): Promise<CreateWatchData> =>
  request("POST", `/v1/watches`, { body, ...options });
/** Delete an event type: `DELETE /v1/event-types/{event_type}` */
export const deleteEventType = (
  eventType: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<DeleteEventTypeData> =>
  request("DELETE", `/v1/event-types/${encodeURIComponent(eventType)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** End all portals of a tenant: `DELETE /v1/tenants/{tenant_id}/portal` */
export const deletePortalLinks = (
  tenantId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<DeletePortalLinksData> =>
  request("DELETE", `/v1/tenants/${encodeURIComponent(tenantId)}/portal`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Sign out: `DELETE /v1/session` */
export const deleteSession = (
  options: RequestOptions = {},
): Promise<DeleteSessionData> =>
  request("DELETE", `/v1/session`, { ...options });
/** Delete a subscription: `DELETE /v1/subscriptions/{subscription_id}` */
export const deleteSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<DeleteSubscriptionData> =>
  request("DELETE", `/v1/subscriptions/${encodeURIComponent(subscriptionId)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Delete a tenant: `DELETE /v1/tenants/{tenant_id}` */
export const deleteTenant = (
  tenantId: string,
  options: RequestOptions = {},
): Promise<DeleteTenantData> =>
  request("DELETE", `/v1/tenants/${encodeURIComponent(tenantId)}`, {
    ...options,
  });
/** End a watch: `DELETE /v1/watches/{watch_id}` */
export const deleteWatch = (
  watchId: number,
  options: RequestOptions = {},
): Promise<DeleteWatchData> =>
  request("DELETE", `/v1/watches/${encodeURIComponent(watchId)}`, {
    ...options,
  });
/** Enable a subscription: `POST /v1/subscriptions/{subscription_id}/enable` */
export const enableSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: EnableSubscriptionPayload,
  options: RequestOptions = {},
): Promise<EnableSubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/enable`,
    { query, body, ofTenant: true, ...options },
  );
/** Get a backfill and its progress: `GET /v1/backfills/{backfill_id}` */
export const getBackfill = (
  backfillId: number,
  options: RequestOptions = {},
): Promise<GetBackfillData> =>
  request("GET", `/v1/backfills/${encodeURIComponent(backfillId)}`, {
    ...options,
  });
/** Get a delivery: `GET /v1/deliveries/{delivery_id}` */
export const getDelivery = (
  deliveryId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetDeliveryData> =>
  request("GET", `/v1/deliveries/${encodeURIComponent(deliveryId)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Say why a delivery is in its state, and what would change it: `GET /v1/deliveries/{delivery_id}/why` */
export const getDeliveryWhy = (
  deliveryId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetDeliveryWhyData> =>
  request("GET", `/v1/deliveries/${encodeURIComponent(deliveryId)}/why`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get an event type: `GET /v1/event-types/{event_type}` */
export const getEventType = (
  eventType: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetEventTypeData> =>
  request("GET", `/v1/event-types/${encodeURIComponent(eventType)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get the event types as an OpenAPI document: `GET /v1/event-types/openapi.json` */
export const getEventTypesDocument = (
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetEventTypesDocumentData> =>
  request("GET", `/v1/event-types/openapi.json`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get the settings for event types: `GET /v1/event-type-settings` */
export const getEventTypeSettings = (
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetEventTypeSettingsData> =>
  request("GET", `/v1/event-type-settings`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get the public event types as an OpenAPI document: `GET /v1/catalogue` */
export const getPublicCatalogue = (
  options: RequestOptions = {},
): Promise<GetPublicCatalogueData> =>
  request("GET", `/v1/catalogue`, { ...options });
/** Get the public key of a subscription that signs with Ed25519: `GET /v1/subscriptions/{subscription_id}/public-key` */
export const getPublicKey = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetPublicKeyData> =>
  request(
    "GET",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/public-key`,
    { query, ofTenant: true, ...options },
  );
/** Get which deliveries wait now, and why: `GET /v1/stats/queue` */
export const getQueueStats = (
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetQueueStatsData> =>
  request("GET", `/v1/stats/queue`, { query, ofTenant: true, ...options });
/** Show the headers of a request that was sent: `GET /v1/deliveries/{delivery_id}/attempts/{attempt_number}/request` */
export const getSentRequest = (
  deliveryId: string,
  attemptNumber: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetSentRequestData> =>
  request(
    "GET",
    `/v1/deliveries/${encodeURIComponent(deliveryId)}/attempts/${encodeURIComponent(attemptNumber)}/request`,
    { query, ofTenant: true, ...options },
  );
/** See who is signed in, and what they may do: `GET /v1/session` */
export const getSession = (
  options: RequestOptions = {},
): Promise<GetSessionData> => request("GET", `/v1/session`, { ...options });
/** Get the settings in force, without secrets: `GET /v1/settings` */
export const getSettings = (
  options: RequestOptions = {},
): Promise<GetSettingsData> => request("GET", `/v1/settings`, { ...options });
/** Get figures about the last hour (or another window) and about the queue now: `GET /v1/stats` */
export const getStats = (
  query: {
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /**
     * The length of time up to now: a duration up to 31d, such as 15m, 1h or 7d. If it is left out: 1h.
     * @maxLength 20
     */
    window?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetStatsData> =>
  request("GET", `/v1/stats`, { query, ofTenant: true, ...options });
/** Get what happened in each minute, or longer period, of a window: `GET /v1/stats/series` */
export const getStatsSeries = (
  query: {
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /** The length of time up to now. A point stands for a minute (1h), ten minutes (24h; with subscription_id an hour), an hour (7d) or six hours (30d). If it is left out: 1h. */
    window?: "1h" | "24h" | "7d" | "30d";
  } = {},
  options: RequestOptions = {},
): Promise<GetStatsSeriesData> =>
  request("GET", `/v1/stats/series`, { query, ofTenant: true, ...options });
/** Follow webhooks, attempts and deliveries as they happen: `GET /v1/stream` */
export const getStream = (
  query: {
    /**
     * As the header Last-Event-ID, for clients that cannot set headers.
     * @maxLength 200
     */
    after?: string;
    /**
     * An event type: words of letters, digits, _ and - with dots between them.
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type?: string;
    /** Only the events of deliveries in this state. */
    state?: "pending" | "held" | "succeeded" | "failed" | "cancelled";
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetStreamData> =>
  request("GET", `/v1/stream`, { query, ofTenant: true, ...options });
/** Get a subscription: `GET /v1/subscriptions/{subscription_id}` */
export const getSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetSubscriptionData> =>
  request("GET", `/v1/subscriptions/${encodeURIComponent(subscriptionId)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get a receiver's health: circuit, held deliveries, attempt rate, last error: `GET /v1/subscriptions/{subscription_id}/health` */
export const getSubscriptionHealth = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetSubscriptionHealthData> =>
  request(
    "GET",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/health`,
    { query, ofTenant: true, ...options },
  );
/** Get a task and its progress: `GET /v1/tasks/{task_id}` */
export const getTask = (
  taskId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetTaskData> =>
  request("GET", `/v1/tasks/${encodeURIComponent(taskId)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Get a tenant: `GET /v1/tenants/{tenant_id}` */
export const getTenant = (
  tenantId: string,
  options: RequestOptions = {},
): Promise<GetTenantData> =>
  request("GET", `/v1/tenants/${encodeURIComponent(tenantId)}`, { ...options });
/** Get a watch: `GET /v1/watches/{watch_id}` */
export const getWatch = (
  watchId: number,
  options: RequestOptions = {},
): Promise<GetWatchData> =>
  request("GET", `/v1/watches/${encodeURIComponent(watchId)}`, { ...options });
/** Get a webhook, its deliveries and their attempts: `GET /v1/webhooks/{webhook_id}` */
export const getWebhook = (
  webhookId: string,
  query: {
    /** body: include the body of the webhook in the answer. */
    include?: "body";
    /**
     * The most deliveries in the answer. If it is left out: 100.
     * @min 1
     * @max 100
     */
    max_deliveries?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<GetWebhookData> =>
  request("GET", `/v1/webhooks/${encodeURIComponent(webhookId)}`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Register the webhooks of an OpenAPI document: `POST /v1/event-types/import` */
export const importEventTypes = (
  body: ImportEventTypesPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ImportEventTypesData> =>
  request("POST", `/v1/event-types/import`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** List attempts, newest first: `GET /v1/attempts` */
export const listAttempts = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The code of the error that the attempt failed with.
     * @maxLength 50
     * @pattern ^[a-z0-9_]+$
     */
    error_code?: string;
    /**
     * An event type: words of letters, digits, _ and - with dots between them.
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * The HTTP status code that the receiver answered with.
     * @min 100
     * @max 999
     */
    response_code?: number;
    /**
     * Only attempts that ended at or after this time.
     * @format date-time
     */
    since?: string;
    /** How the attempt ended. */
    status?: "success" | "failed" | "timeout" | "blocked";
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /**
     * Only attempts that ended before this time.
     * @format date-time
     */
    until?: string;
    /**
     * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
     * @format uuid
     */
    webhook_id?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListAttemptsData> =>
  request("GET", `/v1/attempts`, { query, ofTenant: true, ...options });
/** List the backfills, the newest first: `GET /v1/backfills` */
export const listBackfills = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
  } = {},
  options: RequestOptions = {},
): Promise<ListBackfillsData> =>
  request("GET", `/v1/backfills`, { query, ...options });
/** List deliveries, newest webhooks first: `GET /v1/deliveries` */
export const listDeliveries = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * An event type: words of letters, digits, _ and - with dots between them.
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * Only deliveries of webhooks accepted at or after this time.
     * @format date-time
     */
    since?: string;
    /** The state of the delivery. */
    state?: "pending" | "held" | "succeeded" | "failed" | "cancelled";
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /**
     * Only deliveries of webhooks accepted before this time.
     * @format date-time
     */
    until?: string;
    /**
     * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
     * @format uuid
     */
    webhook_id?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListDeliveriesData> =>
  request("GET", `/v1/deliveries`, { query, ofTenant: true, ...options });
/** List the event types, by name: `GET /v1/event-types` */
export const listEventTypes = (
  query: {
    /** true: only archived event types. false: only event types that are not archived. Left out: all. */
    archived?: "true" | "false";
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListEventTypesData> =>
  request("GET", `/v1/event-types`, { query, ofTenant: true, ...options });
/** List the keys that are not revoked, by id: `GET /v1/keys` */
export const listKeys = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * Only keys of this tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListKeysData> =>
  request("GET", `/v1/keys`, { query, ofTenant: true, ...options });
/** List the problems of receivers: failures by subscription and cause, with the next step: `GET /v1/problems` */
export const listProblems = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * The id of a subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /** How far back failed attempts are read. If it is left out: 24h. */
    window?: "1h" | "6h" | "24h" | "7d";
  } = {},
  options: RequestOptions = {},
): Promise<ListProblemsData> =>
  request("GET", `/v1/problems`, { query, ofTenant: true, ...options });
/** List the subscriptions, by id: `GET /v1/subscriptions` */
export const listSubscriptions = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /** true: only subscriptions whose receiver has failed three times in a row, and has not succeeded since. */
    failing?: "true";
    /** health: with the health and the recent counts of each subscription. */
    include?: "health";
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * Only subscriptions whose URL or description contains this text. Upper and lower case are equal.
     * @minLength 1
     * @maxLength 200
     */
    search?: string;
    /** Only subscriptions with this status. Left out: all. */
    status?: "active" | "paused" | "disabled";
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListSubscriptionsData> =>
  request("GET", `/v1/subscriptions`, { query, ofTenant: true, ...options });
/** List tasks, the newest first: `GET /v1/tasks` */
export const listTasks = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListTasksData> =>
  request("GET", `/v1/tasks`, { query, ofTenant: true, ...options });
/** List the tenants, by id: `GET /v1/tenants` */
export const listTenants = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
  } = {},
  options: RequestOptions = {},
): Promise<ListTenantsData> =>
  request("GET", `/v1/tenants`, { query, ...options });
/** List the watched tables, by id: `GET /v1/watches` */
export const listWatches = (
  query: {
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
  } = {},
  options: RequestOptions = {},
): Promise<ListWatchesData> =>
  request("GET", `/v1/watches`, { query, ...options });
/** List webhooks, newest first: `GET /v1/webhooks` */
export const listWebhooks = (
  query: {
    /**
     * A JSON path on the data of the webhook, by the rules of filters (docs/filters.md). Bodies over 1 MiB are not searched.
     * @minLength 1
     * @maxLength 1000
     */
    body_path?: string;
    /**
     * A channel: letters, digits, _ . : and -.
     * @minLength 1
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_.:-]+$
     */
    channel?: string;
    /**
     * Where the page begins: the next_cursor of the page before, which is in its Link header too. Left out: the first page.
     * @maxLength 500
     */
    cursor?: string;
    /**
     * The code of the error that the attempt failed with.
     * @maxLength 50
     * @pattern ^[a-z0-9_]+$
     */
    error_code?: string;
    /**
     * An event type: words of letters, digits, _ and - with dots between them.
     * @maxLength 128
     * @pattern ^[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*$
     */
    event_type?: string;
    /** deliveries: with the states of the deliveries of each webhook. */
    include?: "deliveries";
    /**
     * The most rows that a page has. If it is left out: 100.
     * @min 1
     * @max 1000
     */
    limit?: number;
    /**
     * Only webhooks with this ordering key.
     * @minLength 1
     * @maxLength 256
     */
    ordering_key?: string;
    /**
     * The HTTP status code that the receiver answered with.
     * @min 100
     * @max 999
     */
    response_code?: number;
    /**
     * Only webhooks accepted at or after this time.
     * @format date-time
     */
    since?: string;
    /** Only webhooks with a delivery in this state. */
    state?: "pending" | "held" | "succeeded" | "failed" | "cancelled";
    /**
     * Only webhooks with a delivery to this subscription.
     * @min 1
     * @max 2147483647
     */
    subscription_id?: number;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /**
     * Only webhooks accepted before this time.
     * @format date-time
     */
    until?: string;
    /**
     * The id of a webhook: a UUIDv7, which contains the time at which the webhook was accepted.
     * @format uuid
     */
    webhook_id?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ListWebhooksData> =>
  request("GET", `/v1/webhooks`, { query, ofTenant: true, ...options });
/** Pause a subscription: `POST /v1/subscriptions/{subscription_id}/pause` */
export const pauseSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: PauseSubscriptionPayload,
  options: RequestOptions = {},
): Promise<PauseSubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/pause`,
    { query, body, ofTenant: true, ...options },
  );
/** Pull deliveries of a subscription without a URL: `GET /v1/subscriptions/{subscription_id}/pull` */
export const pullDeliveries = (
  subscriptionId: number,
  query: {
    /**
     * The most deliveries. There are fewer if fewer are due, or if their bodies are larger than 4 MiB together. If it is left out: 10.
     * @min 1
     * @max 100
     */
    batch?: number;
    /**
     * The time for acknowledging the deliveries: 1s to 1h. If it is left out: 1m.
     * @maxLength 20
     */
    lease?: string;
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
    /**
     * How long to wait if nothing is due: 0s to 1m. The answer comes as soon as something is due. If it is left out: 20s.
     * @maxLength 20
     */
    wait?: string;
  } = {},
  options: RequestOptions = {},
): Promise<PullDeliveriesData> =>
  request(
    "GET",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/pull`,
    { query, ofTenant: true, ...options },
  );
/** Send all failed deliveries of a period again: `POST /v1/subscriptions/{subscription_id}/recover` */
export const recoverSubscription = (
  subscriptionId: number,
  body: RecoverSubscriptionPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<RecoverSubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/recover`,
    { query, body, ofTenant: true, ...options },
  );
/** Send the latest webhooks to a subscription again: `POST /v1/subscriptions/{subscription_id}/replay-latest` */
export const replayLatest = (
  subscriptionId: number,
  body: ReplayLatestPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ReplayLatestData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/replay-latest`,
    { query, body, ofTenant: true, ...options },
  );
/** Send the deliveries of a period again: `POST /v1/subscriptions/{subscription_id}/replay` */
export const replaySubscription = (
  subscriptionId: number,
  body: ReplaySubscriptionPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ReplaySubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/replay`,
    { query, body, ofTenant: true, ...options },
  );
/** Resume a subscription that was paused: `POST /v1/subscriptions/{subscription_id}/resume` */
export const resumeSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<ResumeSubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/resume`,
    { query, ofTenant: true, ...options },
  );
/** Send a delivery again, now: `POST /v1/deliveries/{delivery_id}/retry` */
export const retryDelivery = (
  deliveryId: string,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<RetryDeliveryData> =>
  request("POST", `/v1/deliveries/${encodeURIComponent(deliveryId)}/retry`, {
    query,
    ofTenant: true,
    ...options,
  });
/** Revoke a key: `DELETE /v1/keys/{key_id}` */
export const revokeKey = (
  keyId: number,
  options: RequestOptions = {},
): Promise<RevokeKeyData> =>
  request("DELETE", `/v1/keys/${encodeURIComponent(keyId)}`, { ...options });
/** Replace the secret of a subscription: `POST /v1/subscriptions/{subscription_id}/rotate-secret` */
export const rotateSecret = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: RotateSecretPayload,
  options: RequestOptions = {},
): Promise<RotateSecretData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/rotate-secret`,
    { query, body, ofTenant: true, ...options },
  );
/** Send a webhook by event type: `POST /v1/webhooks` */
export const sendWebhook = (
  body: SendWebhookPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<SendWebhookData> =>
  request("POST", `/v1/webhooks`, { query, body, ofTenant: true, ...options });
/** Send up to 1000 webhooks by event type, all or none: `POST /v1/webhooks/batch` */
export const sendWebhooks = (
  body: SendWebhooksPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<SendWebhooksData> =>
  request("POST", `/v1/webhooks/batch`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Try a filter on the last 100 webhooks: `POST /v1/filters/test` */
export const testFilter = (
  body: TestFilterPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<TestFilterData> =>
  request("POST", `/v1/filters/test`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Send a test webhook now and get the receiver's answer: `POST /v1/subscriptions/{subscription_id}/test` */
export const testSubscription = (
  subscriptionId: number,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  body?: TestSubscriptionPayload,
  options: RequestOptions = {},
): Promise<TestSubscriptionData> =>
  request(
    "POST",
    `/v1/subscriptions/${encodeURIComponent(subscriptionId)}/test`,
    { query, body, ofTenant: true, ...options },
  );
/** Change or archive an event type: `PATCH /v1/event-types/{event_type}` */
export const updateEventType = (
  eventType: string,
  body: UpdateEventTypePayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<UpdateEventTypeData> =>
  request("PATCH", `/v1/event-types/${encodeURIComponent(eventType)}`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Change the settings for event types: `PATCH /v1/event-type-settings` */
export const updateEventTypeSettings = (
  body: UpdateEventTypeSettingsPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<UpdateEventTypeSettingsData> =>
  request("PATCH", `/v1/event-type-settings`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Change a subscription: `PATCH /v1/subscriptions/{subscription_id}` */
export const updateSubscription = (
  subscriptionId: number,
  body: UpdateSubscriptionPayload,
  query: {
    /**
     * The tenant that the request is about. Left out: the tenant of the key, or default for a key of all tenants. A key of one tenant may name only its own tenant.
     * @maxLength 256
     */
    tenant?: string;
  } = {},
  options: RequestOptions = {},
): Promise<UpdateSubscriptionData> =>
  request("PATCH", `/v1/subscriptions/${encodeURIComponent(subscriptionId)}`, {
    query,
    body,
    ofTenant: true,
    ...options,
  });
/** Change a tenant: `PATCH /v1/tenants/{tenant_id}` */
export const updateTenant = (
  tenantId: string,
  body: UpdateTenantPayload,
  options: RequestOptions = {},
): Promise<UpdateTenantData> =>
  request("PATCH", `/v1/tenants/${encodeURIComponent(tenantId)}`, {
    body,
    ...options,
  });
