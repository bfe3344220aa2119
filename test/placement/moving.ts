// A tenant that moves between two homes while it is used.
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Test } from 'tap';
import { startCli, startProgram } from '../helpers/cli.ts';
import type { Receiver } from '../helpers/receiver.ts';
import { admin, startHomes, type TestHome } from './homes.ts';

/** Two homes, and the tenant acme at the first one, with a key. */
export async function startMovable(t: Test, settings: Record<string, string> = {}) {
  const all = await startHomes(t, ['one', 'two'], settings);
  const [one, two] = all.homes as [TestHome, TestHome];
  await ok(one.request('POST', '/v1/tenants', { id: 'acme', name: 'Acme' }, admin));
  const scopes = ['read', 'send', 'manage'];
  const { key } = await ok(one.request('POST', '/v1/keys', { tenant: 'acme', scopes }, admin));
  const envFrom = (source: TestHome, target: TestHome) => ({
    POSTHORN_DIRECTORY_URL: all.directoryUrl,
    POSTHORN_HOME: source.name,
    DATABASE_URL: source.databaseUrl,
    POSTHORN_TARGET_URL: target.databaseUrl,
  });
  const env: Record<string, string> = envFrom(one, two);
  const args = ['tenants', 'move', 'acme', '--to', 'two'];
  return {
    ...all,
    one,
    two,
    env,
    args,
    key: { authorization: `Bearer ${key}` },
    /** Runs the command as a process. */
    async move(more: readonly string[] = []) {
      const { exited, output } = await startCli(t, [...args, ...more], env);
      return { code: await exited, ...output };
    },
    async moveBack() {
      const back = ['tenants', 'move', 'acme', '--to', 'one', '--json'];
      const { exited, output } = await startCli(t, back, { ...env, ...envFrom(two, one) });
      return { code: await exited, ...output };
    },
    /** Runs it, and kills it with SIGKILL so many milliseconds after the beginning of a phase. */
    async killedMove(phase: string, afterMs: number) {
      const child = join(import.meta.dirname, 'mover-child.ts');
      const line = [process.execPath, child, phase, String(afterMs), ...args];
      const { exited, output } = startProgram(t, line, env, import.meta.dirname);
      return { code: await exited, ...output };
    },
  };
}

/** Returns the body of an answer. @throws Error unless it is 2xx. */
// biome-ignore lint/suspicious/noExplicitAny: the JSON of any route
export async function ok(reply: ReturnType<TestHome['request']>): Promise<any> {
  const { status, text, json } = await reply;
  if (status >= 300) throw new Error(`${status} ${text}`);
  return json;
}

/**
 * Senders that each send numbers, one after the other, through one of the homes, as a careful application does: each with
 * an idempotency key, and again until it is accepted.
 */
export function startSenders(
  t: Test,
  homes: readonly TestHome[],
  key: Record<string, string>,
  number = 4,
) {
  let stopped = false;
  const sent = new Map<string, string[]>();
  async function send(sender: string, home: TestHome) {
    const ids: string[] = [];
    sent.set(sender, ids);
    while (!stopped) {
      const n = ids.length + 1;
      const webhook = { event_type: 'n.sent', data: { sender, n }, ordering_key: sender };
      const headers = { ...key, 'idempotency-key': `${sender} ${n}` };
      const { status, text, json } = await home.request('POST', '/v1/webhooks', webhook, headers);
      if (status === 202) ids.push(json.webhook_id);
      else if (status !== 503) throw new Error(`${status} ${text}`);
      await sleep(40);
    }
  }
  const done = Promise.all(
    Array.from({ length: number }, (_, n) =>
      send(`sender ${n}`, homes[n % homes.length] as TestHome),
    ),
  );
  done.catch(() => {});
  const stop = async () => {
    stopped = true;
    await done;
  };
  // Before the homes end, if a test fails.
  t.teardown(() => stop().catch(() => {}));
  const total = () => [...sent.values()].reduce((sum, ids) => sum + ids.length, 0);
  return { sent, stop, total };
}

/** Returns the numbers that came from each sender, in the order in which they came. */
export function numbersOf({ received }: Pick<Receiver, 'received'>) {
  const numbers: Record<string, number[]> = {};
  for (const { body } of received) {
    const { sender, n } = JSON.parse(body.toString()).data;
    numbers[sender] ??= [];
    numbers[sender].push(n);
  }
  return numbers;
}

/** Returns the numbers that each sender has sent. */
export function numbersSent({ sent }: { readonly sent: ReadonlyMap<string, readonly string[]> }) {
  return Object.fromEntries([...sent].map(([sender, ids]) => [sender, ids.map((_, n) => n + 1)]));
}

export const sorted = (numbers: Record<string, number[]>) =>
  Object.fromEntries(
    Object.entries(numbers).map(([name, list]) => [name, list.toSorted((a, b) => a - b)]),
  );
