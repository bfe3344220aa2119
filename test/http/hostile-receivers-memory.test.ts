import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t, { type Test } from 'tap';
import { AT_MOST, attempt, createClient } from '../helpers/hostile.ts';

const AT_ONCE = 200;
const TIMEOUT_MS = 2_000;
const MIB = 1024 * 1024;

/** Where each kind of hostile receiver listens. */
async function startReceivers(t: Test): Promise<[name: string, port: number][]> {
  const script = join(import.meta.dirname, '..', 'helpers', 'hostile-process.ts');
  const receivers = fork(script, { execArgv: [] });
  t.teardown(async () => {
    receivers.kill('SIGKILL');
    await once(receivers, 'exit');
  });
  const [ports] = await once(receivers, 'message');
  return ports;
}

t.test('memory stays limited with hundreds of hostile receivers', AT_MOST, async (t) => {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  const measure = () => process.memoryUsage().rss / MIB;
  const ports = await startReceivers(t);
  const client = createClient(t, TIMEOUT_MS);
  const body = Buffer.alloc(MIB, 'x');
  const attack = (count: number) =>
    Promise.all(
      Array.from({ length: count }, async (_, n) => {
        const [name = '', port = 0] = ports[n % ports.length] ?? [];
        return { name, ...(await attempt(client, `http://127.0.0.1:${port}/`, body)) };
      }),
    );
  // What is loaded and compiled on first use is no growth.
  await attack(ports.length);
  collect();
  const before = measure();
  let most = before;
  const sampling = setInterval(() => {
    most = Math.max(most, measure());
  }, 20);
  const outcomes = await attack(AT_ONCE);
  clearInterval(sampling);
  collect();
  const after = measure();
  t.comment(
    `RSS in MiB: ${[before, most, after].map(Math.round).join(', ')} (before, most, after)`,
  );
  t.ok(after - before < 150, `grown by ${Math.round(after - before)} MiB when all have ended`);
  const late = outcomes.filter(({ tookMs }) => tookMs > TIMEOUT_MS + 30_000);
  t.strictSame(late, [], 'and each ends by its time');
});
