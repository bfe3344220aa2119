import { createDeliveryMemory, type DeliveryMemory } from './delivery-memory.ts';
import { createReceiverLimits, type ReceiverLimits } from './receiver-limit.ts';
import { createTotalLimit } from './total-limit.ts';
import { createTotalLimitTuning } from './total-limit-tuning.ts';

/** Bytes of the bodies of all requests in flight. */
const MAX_BYTES_IN_FLIGHT = 32 * 1024 * 1024;
/** Deliveries in memory and their bytes, as a multiple of what may be in flight: the others wait for places. */
const IN_MEMORY = 1.5;

/**
 * Decides what a worker may load and send. A delivery asks twice, whether a job of the queue names it or
 * the owner of a backlog has read it:
 *
 * 1. Before it is loaded: is there memory? (delivery-memory.ts) The queue, its bulk deliveries and the backlogs share a number
 *    of deliveries and of bytes. A job of the queue waits for its turn. The owner of a backlog takes what
 *    is free, and comes again. A job knows its bytes. Held deliveries count as the largest bodies that
 *    are loaded with others until they are loaded, and then with the bytes that they have.
 * 2. Before its request: is there a place? (receiver-limit.ts) A place needs room in the window of its
 *    receiver, which is found by watching the answers (receiver-window.ts) or set by the subscription,
 *    and in the total (total-limit.ts). The total has a number of requests and of bytes, which tenants
 *    share; slow receivers, and those that have not answered yet, have a part of it. Nothing else applies
 *    these shares. A delivery that waits for a place is turned away to be held when its receiver does not
 *    answer for half a second, or when deliveries to others wait for memory.
 *
 * The total adapts to the load of the process (total-limit-tuning.ts), and the memory with it.
 *
 * Bodies of more than 64 KiB have a memory of their own (sending/large-bodies.ts). It counts bodies and not
 * deliveries, since the deliveries of one webhook share one body there.
 */
export interface Limiter {
  readonly memory: DeliveryMemory;
  readonly receiverLimits: ReceiverLimits;
  /** Adapts the total from now on, for as long as any delivery is in memory. */
  watch(): void;
  /** Turns away all that wait for a place, and gives no more places. */
  stop(): void;
}

/** @param maxInFlight the most requests in flight. */
export function createLimiter(maxInFlight: number): Limiter {
  const memory = createDeliveryMemory(IN_MEMORY * maxInFlight, IN_MEMORY * MAX_BYTES_IN_FLIGHT);
  const receiverLimits = createReceiverLimits(
    createTotalLimit(maxInFlight, MAX_BYTES_IN_FLIGHT),
    memory.othersWait,
  );
  const tuning = createTotalLimitTuning(memory, receiverLimits, maxInFlight, (limit) => {
    receiverLimits.resize(limit);
    memory.resize(Math.ceil(IN_MEMORY * limit));
  });
  return {
    memory,
    receiverLimits,
    watch: tuning.watch,
    stop() {
      tuning.stop();
      receiverLimits.stop();
    },
  };
}
