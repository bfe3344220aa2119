/** The settings of each program. Those in Go and Python get them as API_URL, API_KEY and RECEIVER_URL. */
export interface Surroundings {
  readonly apiUrl: string;
  readonly key: string;
  readonly receiverUrl: string;
}

/** The report of each program, as its client has read it. */
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
