import { loadSettings } from '../../src/config/settings.ts';
import type { HttpAnswer } from '../../src/http/answer-reader.ts';
import type { HttpClient } from '../../src/http/http-client.ts';
import { createSimulatedClock } from './clock.ts';
import { createFigures, type Figures } from './figures.ts';
import { createRandom } from './random.ts';
import { answerOf, createReceiver, KINDS, type Kind, type Receiver } from './receivers.ts';
import { createStore, type Delivery } from './store.ts';
import { createWorker, type Worker } from './worker.ts';

/** Until a held delivery is notified to the owner of its backlog. */
const NOTIFY_MS = 5;
/** Until a worker takes a job that is due. */
const FETCH_MS = 5;
const SWEEP_MS = 30_000;
const TENANTS = 100;
/** Subscriptions with a limit of their own: one in so many. */
const PINNED_EVERY = 24;
export const PINNED_TO = 3;

export interface Workload {
  readonly seed: number;
  readonly workers: number;
  /** `POSTHORN_MAX_IN_FLIGHT` of each. */
  readonly maxInFlight: number;
  readonly subscriptions: number;
  readonly webhooksPerSecond: number;
  readonly minutes: number;
  /** One receiver in so many fails; 0: none. */
  readonly failingEvery: number;
  /** After this time all receivers are healthy, and no more webhooks come; the simulation goes on for so long. */
  readonly afterMinutes: number;
}

/** Simulates workers that deliver a workload, with the defaults of all settings. The same workload gives the same figures. */
export async function simulate(workload: Workload): Promise<Figures> {
  const random = createRandom(workload.seed);
  const settings = loadSettings({}, '/');
  const endMs = workload.minutes * 60_000;
  const receivers = receiversOf(workload);
  const clock = createSimulatedClock(random.next);
  const figures = createFigures(clock, receivers, workload);
  const queue: Delivery[] = [];
  const workers: Worker[] = [];
  const ownerOf = (id: number) => workers[id % workers.length] as Worker;

  const store = createStore({
    clock,
    subscriptions: receivers.map(({ id }) => ({
      id,
      tenant: `tenant-${id % TENANTS}`,
      maxInFlight: id % PINNED_EVERY === 0 ? PINNED_TO : null,
    })),
    onRetry: (delivery) => addJob(delivery, delivery.dueAt - clock.now),
    onChange(id) {
      for (const worker of workers) worker.forget(id);
      ownerOf(id).look(id);
    },
  });
  figures.watch(store, workers);

  function addJob(delivery: Delivery, inMs: number): void {
    clock.after(inMs + FETCH_MS, () => {
      queue.push(delivery);
      takeJobs();
    });
  }

  function takeJobs(): void {
    while (queue.length > 0) {
      const worker = workers[random.below(workers.length)] as Worker;
      if (worker.jobs >= workload.maxInFlight) return;
      void worker.run(queue.shift() as Delivery).then(takeJobs);
    }
  }

  const clientOf = (worker: number): HttpClient => ({
    post: ({ url, headers, timeoutMs = settings.deliveryTimeoutMs }) =>
      new Promise<HttpAnswer>((resolve, reject) => {
        const receiver = receivers[Number(url.hostname.split('.')[0]) - 1] as Receiver;
        const webhookId = headers[headers.indexOf('webhook-id') + 1] as string;
        const healed = clock.now >= endMs;
        const { afterMs, answer } = answerOf(receiver, timeoutMs, healed, clock.now, random);
        figures.requestBegan(receiver, worker);
        clock.after(afterMs, () => {
          const isWell = !(answer instanceof Error) && answer.statusCode === 200;
          figures.requestEnded(receiver, worker, isWell ? webhookId : null, afterMs);
          if (answer instanceof Error) reject(answer);
          else resolve(answer);
        });
      }),
    async close() {},
  });

  function accept(id: number): void {
    const delivery = store.accept(id);
    figures.accepted(id);
    if (delivery.state === 'held') {
      // Intake notifies nobody while a circuit is open.
      if (store.circuits.get(id)?.openedAt == null)
        clock.after(NOTIFY_MS, () => ownerOf(id).look(id));
      return;
    }
    const worker = workers[random.below(workers.length)] as Worker;
    if (!worker.takeAccepted(delivery)) addJob(delivery, 0);
  }

  const choose = chooserOf(receivers, random.next);
  let nextAt = 0;
  const arrive = () => {
    if (clock.now >= endMs) return;
    for (; nextAt <= clock.now; nextAt += random.exponential(1_000 / workload.webhooksPerSecond))
      accept(choose());
    clock.after(nextAt - clock.now, arrive);
  };
  const sweep = () => {
    for (const { id, held } of store.subscriptions.values())
      if (held.size > 0) ownerOf(id).look(id);
    for (const worker of workers) worker.releaseIdle();
    clock.after(SWEEP_MS, sweep);
  };
  clock.after(0, () => {
    for (let n = 0; n < workload.workers; n++)
      workers.push(
        createWorker({
          ...{ clock, store, random, settings, maxInFlight: workload.maxInFlight },
          client: clientOf(n),
          onAttempt: figures.attempt,
          onHeld: (id) => clock.after(NOTIFY_MS, () => ownerOf(id).look(id)),
          onOpened: figures.circuitOpened,
        }),
      );
    arrive();
    sweep();
  });
  await clock.run(endMs);
  figures.end();
  if (workload.afterMinutes > 0) await clock.run(endMs + workload.afterMinutes * 60_000);
  return figures.read();
}

/** Few receivers get much: the n-th most busy one gets a share of about 1 / n^0.7. */
function receiversOf({ subscriptions, webhooksPerSecond, failingEvery }: Workload): Receiver[] {
  const shares = Array.from({ length: subscriptions }, (_, n) => (n + 10) ** -0.7);
  const all = shares.reduce((sum, share) => sum + share, 0);
  return shares.map((share, n) => {
    const fails = failingEvery > 0 && n % failingEvery === failingEvery - 1;
    const kind = fails ? 1 + (Math.floor(n / failingEvery) % (KINDS.length - 1)) : 0;
    return createReceiver(n + 1, KINDS[kind] as Kind, (webhooksPerSecond * share) / all);
  });
}

/** Returns a function that chooses receivers by how much they get. */
function chooserOf(receivers: readonly Receiver[], random: () => number): () => number {
  let sum = 0;
  const sums = receivers.map(({ perSecond }) => {
    sum += perSecond;
    return sum;
  });
  return () => {
    const at = random() * sum;
    let from = 0;
    let to = sums.length - 1;
    while (from < to) {
      const middle = (from + to) >> 1;
      if ((sums[middle] as number) <= at) from = middle + 1;
      else to = middle;
    }
    return (receivers[from] as Receiver).id;
  };
}
