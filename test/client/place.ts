export interface Received {
  readonly headers: Record<string, string>;
  readonly body: string;
}

/** The customer's receiver, of which the test is in charge. */
export interface CustomerReceiver {
  readonly url: string;
  /** Waits for so many requests to that path, and returns them. */
  waitFor(path: string, count: number): Promise<Received[]>;
  /** Waits for a webhook to be sent so many times, and returns the last. */
  waitForWebhook(webhookId: string, times?: number): Promise<Received>;
  /** Sets the answer to further requests. */
  answer(status: number): void;
}

/** Where a customer's program runs: what the test gives it. */
export interface Place {
  readonly baseUrl: string;
  readonly adminKey: string;
  readonly receiver: CustomerReceiver;
  until<T>(what: string, condition: () => Promise<T | false>): Promise<T>;
}
