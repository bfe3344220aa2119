/** Puts a text into single quotes, for a shell. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

interface CurlRequest {
  readonly method?: string;
  readonly url: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | null | undefined;
}

/** Writes a request as a command line for curl. */
export function curlOf({ method, url, headers = {}, body }: CurlRequest): string {
  const parts = [
    `curl ${method === undefined ? '' : `-X ${method} `}${shellQuote(url)}`,
    ...Object.entries(headers).map(([name, value]) => `-H ${shellQuote(`${name}: ${value}`)}`),
    ...(body === null || body === undefined ? [] : [`--data-binary ${shellQuote(body)}`]),
  ];
  return parts.join(' \\\n  ');
}
