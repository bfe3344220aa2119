/** What each program is given: Go's and Python's as API_URL, API_KEY and RECEIVER_URL. */
export interface Surroundings {
  readonly apiUrl: string;
  readonly key: string;
  readonly receiverUrl: string;
}

/** What each program reports, as read by its client. */
export interface Done {
  /** The field that the problem names. */
  readonly refused: string | undefined;
  /** The URLs of the subscriptions. */
  readonly listed: readonly string[];
  /** The id of the webhook that was sent by event type. */
  readonly sent: string;
  /** The id of the webhook that was handed in for the subscription. */
  readonly ingested: string;
}
