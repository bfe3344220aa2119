// A supervisor that is frozen, and goes on to find that its processes have died.
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { childrenOf } from '../chaos/lib/processes.ts';
import { signal, startSupervised, stopsCleanly } from '../helpers/supervised.ts';

const ROUNDS = Number(process.env.POSTHORN_FAULT_ROUNDS ?? 1);
/** Longer than the processes let pass between two messages to the supervisor. */
const FROZEN_MS = 6_000;

function pick<T>(from: readonly T[]): T {
  return from[Math.floor(Math.random() * from.length)] as T;
}

t.test('a process that dies while the supervisor is frozen is replaced', async (t) => {
  const running = await startSupervised(t, 3);
  // One that serves the API and one that delivers.
  const victims = (await running.whole()).slice(0, 2);
  running.cli.kill('SIGSTOP');
  await sleep(FROZEN_MS / 2);
  for (const victim of victims) signal(victim, 'SIGKILL');
  await sleep(FROZEN_MS / 2);
  running.cli.kill('SIGCONT');
  await running.whole(victims);
  await stopsCleanly(t, running);
});

t.test('processes that are frozen and killed in any order are all replaced', async (t) => {
  const running = await startSupervised(t, 4);
  for (let round = 0; round < ROUNDS; round++) {
    const before = await running.whole();
    const story: string[] = [];
    for (let step = 0; step < 12; step++) {
      const children = childrenOf(running.pid);
      const [pid, name] = pick<[number, NodeJS.Signals]>([
        [running.pid, 'SIGSTOP'],
        [running.pid, 'SIGCONT'],
        [pick(children) ?? running.pid, 'SIGSTOP'],
        [pick(before), 'SIGKILL'],
        [pick(children) ?? running.pid, 'SIGCONT'],
      ]);
      story.push(`${name} ${pid === running.pid ? 'supervisor' : pid}`);
      signal(pid, name);
      await sleep(Math.random() * 500);
    }
    // All that were there at the beginning end; those that came since may be frozen.
    for (const pid of before) signal(pid, 'SIGKILL');
    for (const pid of [running.pid, ...childrenOf(running.pid)]) signal(pid, 'SIGCONT');
    t.comment(story.join(', '));
    await running.whole(before);
  }
  await stopsCleanly(t, running);
});
