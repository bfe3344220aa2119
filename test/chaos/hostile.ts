import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { certify } from '../helpers/certificates.ts';
import { until } from '../helpers/until.ts';
import { HOSTILE, type HostileEnd, type HostileKind } from './lib/hostile-kinds.ts';
import { startLoad } from './lib/load.ts';
import { type Postgres, startPostgres } from './lib/postgres.ts';
import { startPosthorn } from './lib/posthorn.ts';
import { during, ended, freePort } from './lib/processes.ts';
import { type Receipt, startReceiver } from './lib/receiver.ts';
import { Broken, promised, type Run, type Scenario } from './lib/scenario.ts';

const AT_ONCE = 500;
const TIMEOUT_MS = 15_000;
const MIB = 1024 * 1024;
const MOST_MIB = 150;
/** The latency of the good receiver without hostile receivers. */
const CALM_MS = 15_000;
/** A machine that is busy with other things must not fail it: so much may be by chance. */
const CHANCE_MS = 250;
/** And what comes at once, or in floods, takes a processor from the good one for a moment. */
const BURST_MS = 2_000;
/** A machine that is busy is given fewer requests at a time, and the others wait for a place. */
const PATIENCE_MS = 120_000;
/** An error for people has no error code of a library, and fits on a line. */
const SENTENCE = /^(?!.*(UND_ERR|HPE_|ECONN|\n))[A-Z].{20,200}\.$/;

export const hostile: Scenario = {
  name: 'hostile',
  promise: `${AT_ONCE} of each kind of hostile receiver at once: all end in time, memory is bounded, a good one notices little`,
  quick: false,
  timeoutMs: 900_000,
  async run(run) {
    const { ports, ca } = await startHostile(run);
    const postgres = await startPostgres(run);
    const receiver = await startReceiver(run);
    const port = await freePort();
    const posthorn = startPosthorn(run, {
      databaseUrl: postgres.url,
      env: {
        PORT: String(port),
        POSTHORN_DELIVERY_TIMEOUT: `${TIMEOUT_MS}ms`,
        POSTHORN_RETRY_SCHEDULE: '1h',
        // Receivers that have not answered yet share half of these.
        POSTHORN_MAX_IN_FLIGHT: String(2 * AT_ONCE + 200),
        NODE_EXTRA_CA_CERTS: ca,
      },
    });
    await posthorn.up();
    const load = startLoad({
      port,
      subscriptionId: await posthorn.subscribe(`${receiver.url}/ok`),
      rate: 100,
    });
    run.onEnd(() => load.stop());
    const names = Object.keys(HOSTILE) as HostileKind[];
    // Excludes the memory for code that is loaded on first use, and for the good receiver.
    await Promise.all(names.map((name) => attack(posthorn, postgres, urlOf(name, ports), 5)));
    const calmFrom = Date.now();
    await during(CALM_MS);
    const memory = watchMemory(run, posthorn.pid);
    const from = Date.now();
    let slowestMs = 0;
    const hung: [from: number, to: number][] = [];
    for (const name of names) {
      run.progress(name);
      const began = Date.now();
      const attempts = await attack(posthorn, postgres, urlOf(name, ports), AT_ONCE);
      slowestMs = Math.max(slowestMs, ...attempts.map(({ duration_ms }) => duration_ms));
      judge(name, attempts);
      // Once their requests are open.
      if (HOSTILE[name].status === 'timeout') hung.push([began + BURST_MS, Date.now()]);
    }
    const to = Date.now();
    await load.stop();
    const { before, most } = memory.stop();
    const late = latenciesOf(load.accepted, receiver.receipts());
    const p99 = (...windows: [from: number, to: number][]) =>
      percentile(
        late
          .filter(({ at }) => windows.some(([since, until]) => at >= since && at < until))
          .map(({ ms }) => ms),
        99,
      );
    const calm = p99([calmFrom, from]);
    const whileHanging = p99(...hung);
    const meanwhile = p99([from, to]);
    promised(posthorn.running, 'it did not survive');
    promised(
      most - before <= MOST_MIB,
      `memory grew by ${Math.round(most - before)} MiB, from ${Math.round(before)}`,
    );
    promised(
      slowestMs <= TIMEOUT_MS + 1_000,
      `an attempt took ${slowestMs} ms, with a timeout of ${TIMEOUT_MS}`,
    );
    promised(
      whileHanging <= Math.max(2 * calm, calm + CHANCE_MS),
      `the p99 of a good receiver went from ${calm} to ${whileHanging} ms while others hung`,
    );
    promised(
      meanwhile <= Math.max(2 * calm, calm + BURST_MS),
      `the p99 of a good receiver went from ${calm} to ${meanwhile} ms`,
    );
    return {
      kinds: names.length,
      'attempts of each': AT_ONCE,
      'slowest attempt, ms': slowestMs,
      'memory before, MiB': Math.round(before),
      'at most, MiB': Math.round(most),
      'p99 of a good receiver before, ms': calm,
      'p99 while others hang, ms': whileHanging,
      'p99 over all of it, ms': meanwhile,
    };
  },
};

interface Attempt {
  readonly status: string;
  readonly error_code: string | null;
  readonly error: string | null;
  readonly duration_ms: number;
}

/** Sends a webhook to `count` subscriptions with this URL, and returns their attempts. */
async function attack(
  posthorn: ReturnType<typeof startPosthorn>,
  postgres: Postgres,
  url: string,
  count: number,
): Promise<Attempt[]> {
  const type = `attack.${randomUUID()}`;
  await postgres.query(
    `insert into posthorn.subscriptions (url, event_types)
     select $1 || n, array[$2] from generate_series(1, $3) n`,
    [url, type, count],
  );
  const response = await posthorn.request('POST', '/v1/webhooks', { event_type: type, data: {} });
  const { webhook_id: id, deliveries } = (await response.json()) as {
    webhook_id: string;
    deliveries: number;
  };
  promised(deliveries === count, `it went to ${deliveries} instead of ${count}`);
  const ended = async () =>
    await postgres.query<Attempt>(
      `select status, error_code, error, duration_ms
       from posthorn.delivery_attempts where webhook_id = $1`,
      [id],
    );
  const all = async () => {
    const attempts = await ended();
    return attempts.length >= count && attempts;
  };
  return await until('all attempts have ended', all, TIMEOUT_MS + PATIENCE_MS).catch(async () => {
    const states = await postgres.query(
      `select state, count(*)::integer from posthorn.deliveries where webhook_id = $1 group by 1`,
      [id],
    );
    throw new Broken(
      `${url}: ${(await ended()).length} of ${count} attempts have ended; ${JSON.stringify(states)}`,
    );
  });
}

/** @throws Broken unless every attempt ended as it must with this kind. */
function judge(name: HostileKind, attempts: readonly Attempt[]): void {
  const expected: HostileEnd = HOSTILE[name];
  promised(attempts.length === AT_ONCE, `${name}: ${attempts.length} attempts`);
  for (const { status, error_code, error } of attempts) {
    promised(
      status === expected.status && error_code === expected.errorCode,
      `${name}: ended as ${status}, ${error_code} (${error})`,
    );
    if (error !== null) promised(SENTENCE.test(error), `${name}: “${error}”`);
    if (expected.says !== undefined)
      promised(expected.says.test(error ?? ''), `${name}: “${error}”`);
  }
}

/** Starts the receivers, and makes the certificates of those that have one. */
async function startHostile(run: Run) {
  const dir = join(run.dir, 'certificates');
  mkdirSync(dir);
  const made = {
    expired: certify(
      testdir(join(dir, 'expired')),
      ['IP:127.0.0.1'],
      ['20200101000000Z', '20200201000000Z'],
    ),
    other: certify(testdir(join(dir, 'other')), ['DNS:other.example']),
  };
  for (const [name, { key, cert }] of Object.entries(made)) {
    writeFileSync(join(dir, `${name}.key`), key);
    writeFileSync(join(dir, `${name}.cert`), cert);
  }
  const ca = join(dir, 'ca.pem');
  writeFileSync(ca, made.expired.cert + made.other.cert);
  const child = fork(join(import.meta.dirname, 'lib', 'hostile-program.ts'), [dir]);
  run.onEnd(async () => {
    child.kill('SIGKILL');
    await ended(child);
  });
  const [ports] = (await once(child, 'message')) as [Record<HostileKind, number>];
  return { ports, ca };
}

/** Returns the part of a test that `certify` needs. */
function testdir(dir: string): Parameters<typeof certify>[0] {
  return {
    testdir(files = {}) {
      mkdirSync(dir);
      for (const [name, content] of Object.entries(files))
        writeFileSync(join(dir, name), String(content));
      return dir;
    },
  };
}

const urlOf = (name: HostileKind, ports: Record<HostileKind, number>) =>
  `${HOSTILE[name].scheme ?? 'http'}://127.0.0.1:${ports[name]}/`;

/** The resident memory of a process, in MiB: at first, and at most. */
function watchMemory(run: Run, pid: number) {
  const measure = () =>
    (Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024) /
    MIB;
  const before = measure();
  let most = before;
  const timer = setInterval(() => {
    most = Math.max(most, measure());
  }, 50);
  run.onEnd(() => clearInterval(timer));
  return {
    stop() {
      clearInterval(timer);
      return { before, most };
    },
  };
}

/** The time from the 202 of each webhook until it was received, in the order of acceptance. */
function latenciesOf(accepted: ReadonlyMap<string, number>, receipts: readonly Receipt[]) {
  return receipts.flatMap(({ webhookId, at: receivedAt }) => {
    const at = accepted.get(webhookId);
    return at === undefined ? [] : [{ at, ms: receivedAt - at }];
  });
}

function percentile(values: number[], percent: number): number {
  const sorted = values.sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil((percent / 100) * sorted.length))] ?? 0;
}
