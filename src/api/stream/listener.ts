import { covers, type Position, writePosition } from '../../history/position.ts';
import type { To } from '../links.ts';
import type { Connection } from './connection.ts';
import { type EventFilter, isWanted, type StreamEvent, writeEvent } from './events.ts';

/** Written at once. A client that is slower has at most this and the buffer of its socket in memory. */
const CHUNK_CHARACTERS = 32 * 1024;
const HEARTBEAT_MS = 15_000;
/** Later than that, clients are told that events are missing yet. */
const LATE_MS = 10_000;

/** Events that were read together. */
export interface Batch {
  readonly events: readonly StreamEvent[];
  /** Where a reader is after them. */
  readonly position: Position;
}

/** A client that follows events, either with all others or by itself. */
export interface Listener {
  readonly filter: EventFilter;
  readonly connection: Connection;
  /** Gives it the next events, if it waits for them. */
  push(batch: Batch): void;
  /** Lets it go on by itself: it reads the rest from the database, as fast as its client takes it. */
  overtake(): void;
  /** Its connection has ended. */
  close(): void;
}

/** The reader that all listeners of a process share. */
export interface SharedReader {
  readonly position: Position;
  join(listener: Listener): void;
  leave(listener: Listener): void;
  /** Resolves when the reader has read the next time. */
  nextRead(): Promise<void>;
  /** Reads events after a position for one listener, at most up to the reader's own position. */
  readAlone(filter: EventFilter, from: Position): Promise<Batch>;
}

interface ListenerOptions {
  readonly reader: SharedReader;
  readonly filter: EventFilter;
  readonly connection: Connection;
  readonly from: Position;
  readonly to: To;
  /** Told that reading failed; returns how long to wait before the next try. */
  readonly onFailure: (error: unknown) => number;
}

/**
 * Sends a client its events from a position on, each once.
 *
 * It is in one of two modes. Behind, it reads by itself and waits for its client between pages. As soon as it is where
 * the shared reader is, it gets each of its batches. It falls behind again if its client has not taken a batch when the
 * next one comes. So a slow client costs no memory and delays nobody.
 */
export function startListener(options: ListenerOptions): Listener {
  const { reader, filter, connection, from, to, onFailure } = options;
  let position = from;
  let isOvertaken = false;
  let deliver: ((batch: Batch | null) => void) | undefined;

  const listener: Listener = { filter, connection, push, overtake, close };
  const heartbeat = setInterval(beat, HEARTBEAT_MS).unref();
  void run();
  return listener;

  function push(batch: Batch): void {
    if (deliver === undefined) overtake();
    else deliver(batch);
  }

  function overtake(): void {
    isOvertaken = true;
    reader.leave(listener);
    deliver?.(null);
  }

  function close(): void {
    clearInterval(heartbeat);
    overtake();
  }

  async function run(): Promise<void> {
    await connection.write(`id: ${writePosition(position)}\n\n`);
    while (!connection.ended) {
      isOvertaken = false;
      try {
        if (writePosition(position) === writePosition(reader.position)) await follow();
        // The client comes from a process that was ahead of this one.
        else if (!covers(reader.position, position)) await reader.nextRead();
        else await send(await reader.readAlone(filter, position));
      } catch (error) {
        const pauseMs = onFailure(error);
        await new Promise((resolve) => setTimeout(resolve, pauseMs).unref());
      }
    }
  }

  async function follow(): Promise<void> {
    reader.join(listener);
    while (!isOvertaken) {
      const batch = await new Promise<Batch | null>((resolve) => {
        deliver = resolve;
      });
      deliver = undefined;
      if (batch !== null) await send(batch);
    }
  }

  /** Stops in the middle if it is overtaken meanwhile: the rest need not stay in memory. */
  async function send(batch: Batch): Promise<void> {
    let chunk = '';
    let reached = position;
    for (const event of batch.events) {
      if (!isWanted(event, filter)) continue;
      chunk += writeEvent(event, to);
      reached = event.position;
      if (chunk.length < CHUNK_CHARACTERS) continue;
      const taken = await connection.write(chunk);
      position = reached;
      if (!taken || isOvertaken) return;
      chunk = '';
    }
    position = reached;
    if (chunk !== '' && !(await connection.write(chunk))) return;
    position = batch.position;
  }

  /** Says that the connection lives, and moves the last id of a client that no event concerned. */
  function beat(): void {
    if (connection.ended || connection.waits) return;
    const completeUntil = new Date(reader.position.attemptAt / 1000);
    const isLate = Date.now() - completeUntil.getTime() > LATE_MS;
    const event = isLate
      ? `event: late\ndata: ${JSON.stringify({ complete_until: completeUntil })}\n`
      : ': heartbeat\n';
    void connection.write(`id: ${writePosition(position)}\n${event}\n`);
  }
}
