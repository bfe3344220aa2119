import type { Span } from '../../archive/tables.ts';
import { withThousands } from '../../lib/thousands.ts';

const SHOW_EVERY_MS = 200;

/** How far an export is, in one line on a terminal. Elsewhere nothing is shown. */
export interface Progress {
  /** @param lastId the id of the webhook that was written last, which has its time. */
  show(total: { readonly rows: number; readonly bytes: number }, lastId?: string): void;
  end(): void;
}

export function createProgress(name: string, { from, until }: Span): Progress {
  const { isTTY } = process.stderr;
  let shownAt = 0;
  return {
    show({ rows, bytes }, lastId) {
      const now = performance.now();
      if (!isTTY || lastId === undefined || now - shownAt < SHOW_EVERY_MS) return;
      shownAt = now;
      const share = shareOf(lastId, from, until);
      const line = `${name}  ${share} %  ${withThousands(rows)} rows  ${(bytes / 1e6).toFixed(1)} MB`;
      process.stderr.write(`\r${line}\u001b[K`);
    },
    end() {
      if (shownAt > 0) process.stderr.write('\r\u001b[K');
    },
  };
}

/** Returns how much of the time is before a webhook, in per cent. Its id begins with its time (RFC 9562, version 7). */
export function shareOf(id: string, from: Date, until: Date): number {
  const at = Number.parseInt(id.replace('-', '').slice(0, 12), 16);
  const share = (at - from.getTime()) / (until.getTime() - from.getTime());
  return Math.floor(100 * Math.min(1, Math.max(0, share)));
}
