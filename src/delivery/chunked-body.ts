import { HeadTooLargeError, MAX_HEAD_BYTES, MAX_HEAD_LINES, ProtocolError } from './answer-head.ts';

/** More hex digits than a size of any sense has, and fewer than a number can tell apart. */
const MAX_SIZE_DIGITS = 13;
const CR = 0x0d;
const LF = 0x0a;

type State = 'size' | 'extension' | 'data' | 'end of data' | 'trailers' | 'complete';

/** Reads a body of chunks, and the trailers after it (RFC 9112, 7.1). */
export class ChunkedBody {
  #state: State = 'size';
  /** Of the chunk, what is to come. */
  #left = 0;
  #digits = 0;
  #lastByte = 0;
  #trailerBytes = 0;
  #trailerLines = 0;
  readonly #keep: (data: Buffer) => void;

  /** @param keep given the data of the chunks, in the pieces in which they come. */
  constructor(keep: (data: Buffer) => void) {
    this.#keep = keep;
  }

  get isComplete(): boolean {
    return this.#state === 'complete';
  }

  /**
   * Takes what has come, and returns how much of it was of this body.
   *
   * @throws ProtocolError, HeadTooLargeError
   */
  push(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && !this.isComplete) at = this.#step(bytes, at);
    return at;
  }

  /** Returns where the next step begins. */
  #step(bytes: Buffer, at: number): number {
    const byte = bytes[at] as number;
    switch (this.#state) {
      case 'size': {
        const digit = hexValue(byte);
        if (digit === -1) {
          if (this.#digits === 0 || !(byte === CR || byte === 0x3b || byte === 0x20 || byte === 9))
            throw new ProtocolError('one of its chunks has no size');
          this.#state = 'extension';
          this.#lastByte = 0;
          return at;
        }
        this.#digits += 1;
        if (this.#digits > MAX_SIZE_DIGITS)
          throw new ProtocolError('one of its chunks has too large a size');
        this.#left = this.#left * 16 + digit;
        return at + 1;
      }
      case 'extension': {
        const end = this.#endOfLine(bytes, at);
        if (end === -1) return bytes.length;
        this.#state = this.#left === 0 ? 'trailers' : 'data';
        this.#trailerBytes = 0;
        this.#trailerLines = 0;
        this.#lastByte = 0;
        return end;
      }
      case 'data': {
        const taken = Math.min(this.#left, bytes.length - at);
        this.#keep(bytes.subarray(at, at + taken));
        this.#left -= taken;
        if (this.#left === 0) {
          this.#state = 'end of data';
          this.#lastByte = 0;
        }
        return at + taken;
      }
      case 'end of data':
        if (byte !== (this.#lastByte === CR ? LF : CR))
          throw new ProtocolError('one of its chunks is longer than its size');
        this.#lastByte = byte;
        if (byte === LF) {
          this.#state = 'size';
          this.#digits = 0;
        }
        return at + 1;
      default: {
        const end = this.#endOfLine(bytes, at);
        const next = end === -1 ? bytes.length : end;
        this.#trailerBytes += next - at;
        if (this.#trailerBytes > MAX_HEAD_BYTES) throw new HeadTooLargeError();
        if (end === -1) return next;
        if (this.#trailerBytes === 2) {
          this.#state = 'complete';
          return next;
        }
        this.#trailerLines += 1;
        if (this.#trailerLines > MAX_HEAD_LINES) throw new HeadTooLargeError();
        this.#trailerBytes = 0;
        this.#lastByte = 0;
        return next;
      }
    }
  }

  /** Returns where the next line begins, or -1 when this one goes on. */
  #endOfLine(bytes: Buffer, at: number): number {
    const end = bytes.indexOf(LF, at);
    const last = end === -1 ? bytes.length : end;
    const before = last > at ? bytes[last - 1] : this.#lastByte;
    this.#lastByte = before as number;
    if (end === -1) return -1;
    if (before !== CR) throw new ProtocolError('one of its lines ends without a carriage return');
    return end + 1;
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
