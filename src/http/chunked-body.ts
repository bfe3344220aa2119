/** More hex digits than any sensible size has, and few enough to be exact as a number. */
const MAX_SIZE_DIGITS = 13;
const CR = 0x0d;
const LF = 0x0a;
const COLON = 0x3a;

type State = 'size' | 'extension' | 'data' | 'end of data' | 'trailers' | 'complete' | 'malformed';

/** Reads a body of chunks, and the trailers after it (RFC 9112, 7.1), whose lines may end in LF alone. */
export class ChunkedBody {
  state: State = 'size';
  /** The bytes of the chunk that are still to come. */
  #left = 0;
  #digits = 0;
  #previous = 0;
  #lineIsEmpty = true;
  #lineHasColon = false;
  /** True if the body is exactly as in the RFC and has no trailers. */
  isRegular = true;
  readonly #keep: (data: Buffer) => void;

  /** @param keep called with the data of the chunks, in the pieces in which they arrive. */
  constructor(keep: (data: Buffer) => void) {
    this.#keep = keep;
  }

  /** Reads bytes, and returns the number that belonged to this body. */
  push(bytes: Buffer): number {
    let at = 0;
    while (at < bytes.length && this.state !== 'complete' && this.state !== 'malformed') {
      if (this.state !== 'data') {
        this.#step(bytes[at] as number);
        at += 1;
        continue;
      }
      const taken = Math.min(this.#left, bytes.length - at);
      this.#keep(bytes.subarray(at, at + taken));
      at += taken;
      this.#left -= taken;
      if (this.#left === 0) this.state = 'end of data';
    }
    return at;
  }

  #step(byte: number): void {
    if ((byte === LF) !== (this.#previous === CR)) this.isRegular = false;
    this.#previous = byte;
    switch (this.state) {
      case 'size': {
        const digit = hexValue(byte);
        if (digit !== -1 && this.#digits < MAX_SIZE_DIGITS) {
          this.#digits += 1;
          this.#left = this.#left * 16 + digit;
        } else if (digit !== -1 || this.#digits === 0) this.state = 'malformed';
        else if (byte === LF) this.#endSize();
        else if (byte === CR || byte === 0x3b || byte === 0x20 || byte === 9)
          this.state = 'extension';
        else this.state = 'malformed';
        break;
      }
      case 'extension':
        if (byte === LF) this.#endSize();
        break;
      case 'end of data':
        if (byte === LF) {
          this.state = 'size';
          this.#digits = 0;
        } else if (byte !== CR) this.state = 'malformed';
        break;
      default:
        this.#readTrailer(byte);
    }
  }

  #endSize(): void {
    this.state = this.#left === 0 ? 'trailers' : 'data';
  }

  #readTrailer(byte: number): void {
    if (byte === CR) return;
    if (byte !== LF) {
      this.isRegular = false;
      this.#lineIsEmpty = false;
      this.#lineHasColon ||= byte === COLON;
      return;
    }
    if (this.#lineIsEmpty) this.state = 'complete';
    else if (!this.#lineHasColon) this.state = 'malformed';
    this.#lineIsEmpty = true;
    this.#lineHasColon = false;
  }
}

function hexValue(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}
