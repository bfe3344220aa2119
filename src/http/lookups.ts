import { type LookupAddress, type LookupAllOptions, lookup as systemLookup } from 'node:dns';
import { createTurns } from '../lib/turns.ts';

type Callback = (error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void;

/** Resolves a name to all its addresses, as `dns.lookup` does. */
export type Resolve = (hostname: string, options: LookupAllOptions, callback: Callback) => void;

/** The same, on behalf of an owner, such as a tenant. */
export type ResolveFor = (
  owner: string,
  hostname: string,
  options: LookupAllOptions,
  callback: Callback,
) => void;

/** libuv's threads (see main.ts), of which look-ups may have half. */
const THREADS = Number(process.env.UV_THREADPOOL_SIZE ?? 4);

/**
 * Looks names up by the system's resolver, which takes a thread for as long as a name server takes to answer.
 * *Measured* with 64 threads: 40 names of a silent name server held up all others for 10 s. The threads are
 * the process's, and so this is too.
 */
export const lookupByTurns: ResolveFor = takeTurns(systemLookup, Math.floor(THREADS / 2));

/**
 * Lets owners resolve names in turns, and none have all that may be resolved at once (lib/turns.ts).
 *
 * @param max look-ups at once.
 */
export function takeTurns(resolve: Resolve, max: number): ResolveFor {
  const turns = createTurns({ max });
  return async (owner, hostname, options, callback) => {
    const end = await turns.take(owner);
    resolve(hostname, options, (error, addresses) => {
      end();
      callback(error, addresses);
    });
  };
}

/** Lets an owner's requests for a name share one look-up while it is under way, or waits for its turn. */
export function shareLookups(resolve: ResolveFor): ResolveFor {
  const underWay = new Map<string, Callback[]>();
  return (owner, hostname, options, callback) => {
    const key = `${owner} ${hostname} ${options.family ?? 0} ${options.hints ?? 0}`;
    const waiting = underWay.get(key);
    if (waiting !== undefined) {
      waiting.push(callback);
      return;
    }
    const callbacks = [callback];
    underWay.set(key, callbacks);
    resolve(owner, hostname, options, (error, addresses) => {
      underWay.delete(key);
      for (const tell of callbacks) tell(error, addresses);
    });
  };
}
