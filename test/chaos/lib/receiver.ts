import { fork } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ended } from './processes.ts';
import type { Run } from './scenario.ts';

/** A request that the receiver durably wrote down. */
export interface Receipt {
  readonly webhookId: string;
  readonly at: number;
  /** The value of its `webhook-timestamp`, in seconds. */
  readonly timestamp: number;
}

export interface Receiver {
  /** Without a path; see receiver-program.ts for those. */
  readonly url: string;
  /** Requests that have come. */
  count(): Promise<number>;
  /** Answers everything that hangs, and lets nothing hang from now on. */
  release(): Promise<void>;
  receipts(): Receipt[];
}

/** Starts a receiver that ends with the scenario. */
export async function startReceiver(
  run: Run,
  host = '127.0.0.1',
  file = 'receipts.txt',
): Promise<Receiver> {
  const path = join(run.dir, file);
  const child = fork(join(import.meta.dirname, 'receiver-program.ts'), [path, host]);
  run.onEnd(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  const [{ port }] = (await once(child, 'message')) as [{ port: number }];
  let asked: Promise<unknown> = Promise.resolve();
  const ask = (command: string) => {
    const answer = asked.then(async () => {
      const message = once(child, 'message');
      child.send({ command });
      return (await message)[0] as { received: number };
    });
    asked = answer;
    return answer;
  };
  return {
    url: `http://${host}:${port}`,
    count: async () => (await ask('count')).received,
    release: async () => void (await ask('release')),
    receipts() {
      if (!existsSync(path)) return [];
      return readFileSync(path, 'utf8')
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => {
          const [webhookId = '', at, timestamp] = line.split(' ');
          return { webhookId, at: Number(at), timestamp: Number(timestamp) };
        });
    },
  };
}
