import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Host } from './hosts.ts';
import { ended } from './processes.ts';
import type { Run } from './scenario.ts';

const PORT = 8080;

/** A request at a receiver, with times in milliseconds. */
export interface RecordedRequest {
  readonly webhookId: string;
  readonly path: string;
  /** The address of the host that sent it. */
  readonly from: string;
  /** When its sender began the attempt, by the sender's clock, in whole seconds. */
  readonly timestamp: number;
  readonly arrivedAt: number;
  /** Null: its sender had ended before it was read. */
  readonly answeredAt: number | null;
  readonly status: number;
  /** The webhook's number among those of its key. */
  readonly n: number;
  readonly key: string | null;
}

export interface RecordingReceiver {
  readonly url: string;
  /** Returns how many requests came from an address. */
  countOf(address: string): Promise<number>;
  requests(): Promise<RecordedRequest[]>;
}

/** Starts a receiver on a host, which ends with the scenario. */
export async function startRecordingReceiver(run: Run, host: Host): Promise<RecordingReceiver> {
  const program = join(import.meta.dirname, 'recording-receiver-program.ts');
  const [command, ...args] = [...host.through, process.execPath, program, host.address];
  const child = spawn(command as string, [...args, String(PORT)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  });
  run.onEnd(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  await once(child, 'message');
  let asking: Promise<unknown> = Promise.resolve();
  function ask<Answer>(what: 'requests' | 'counts'): Promise<Answer> {
    const answer = asking.then(async () => {
      const message = once(child, 'message');
      child.send(what);
      return (await message)[0] as Answer;
    });
    asking = answer;
    return answer;
  }
  return {
    url: `http://${host.address}:${PORT}`,
    countOf: async (address) =>
      (await ask<Readonly<Record<string, number>>>('counts'))[address] ?? 0,
    requests: () => ask('requests'),
  };
}
