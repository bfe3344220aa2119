import type { LookupAddress, LookupAllOptions } from 'node:dns';

/** How a name becomes all its addresses: `dns.lookup`, or what does the same. */
export type Resolve = (
  hostname: string,
  options: LookupAllOptions,
  callback: (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void,
) => void;

/**
 * Lets requests for a name share one look-up while it is under way.
 *
 * The system's resolver takes a thread for as long as a name server takes to answer, and there are
 * not many (see main.ts). A receiver whose name server is silent must not take one a request.
 */
export function shareLookups(resolve: Resolve): Resolve {
  type Callback = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;
  const underWay = new Map<string, Callback[]>();
  return (hostname: string, options: LookupAllOptions, callback: Callback) => {
    const key = `${hostname} ${options.family ?? 0} ${options.hints ?? 0}`;
    const waiting = underWay.get(key);
    if (waiting !== undefined) {
      waiting.push(callback);
      return;
    }
    const callbacks = [callback];
    underWay.set(key, callbacks);
    resolve(hostname, options, (error, addresses) => {
      underWay.delete(key);
      for (const one of callbacks) one(error, addresses);
    });
  };
}
