import t from 'tap';
import {
  countAnswer,
  countTimeout,
  createReceiverWindow,
  FIRST_WINDOW,
  restart,
} from '../../src/concurrency/receiver-window.ts';

const TIMEOUT_MS = 15_000;

interface Receiver {
  /** Requests that it works on at the same time; the others wait in line. By time, where that changes. */
  readonly atOnce: number | ((now: number) => number);
  /** What each takes, by turns. */
  readonly takesMs: readonly number[];
}

interface Sent {
  readonly endsAt: number;
  readonly sentAt: number;
  readonly round: number;
}

/**
 * A receiver for which there is always more, or what was `offered` by then, on a clock that jumps from answer to answer: no socket
 * and no event loop adds its own noise to what the window does.
 */
function simulate(
  { atOnce, takesMs }: Receiver,
  forMs: number,
  limit = 1_000,
  offered: (now: number) => number = () => Number.POSITIVE_INFINITY,
) {
  const window = createReceiverWindow();
  const line: Omit<Sent, 'endsAt'>[] = [];
  const busy: Sent[] = [];
  let now = 0;
  let begun = 0;
  let answered = 0;
  let answeredLately = 0;
  let timeouts = 0;
  let widest = 0;
  let sent = 0;
  let meanMs = 0;
  const room = () => (typeof atOnce === 'number' ? atOnce : atOnce(now)) - busy.length;
  const begin = (request: Omit<Sent, 'endsAt'>) => {
    const endsAt = now + (takesMs[begun % takesMs.length] as number);
    begun += 1;
    const at = busy.findIndex((other) => other.endsAt > endsAt);
    busy.splice(at === -1 ? busy.length : at, 0, { ...request, endsAt });
  };
  while (now < forMs) {
    while (busy.length + line.length < Math.min(limit, window.size) && sent < offered(now)) {
      sent += 1;
      const request = { sentAt: now, round: window.round };
      if (room() > 0) begin(request);
      else line.push(request);
    }
    const inFlight = busy.length + line.length;
    if (inFlight === 0) {
      now += 1;
      continue;
    }
    const { endsAt, sentAt, round } = busy.shift() as Sent;
    now = endsAt;
    while (line.length > 0 && room() > 0) begin(line.shift() as Omit<Sent, 'endsAt'>);
    if (now - sentAt > TIMEOUT_MS) {
      timeouts += 1;
      countTimeout(window, now);
    } else {
      answered += 1;
      if (now > forMs / 2) answeredLately += 1;
      meanMs = answered === 1 ? now - sentAt : meanMs * 0.9 + (now - sentAt) * 0.1;
      countAnswer(window, inFlight >= Math.min(limit, window.size), round, meanMs, now);
    }
    widest = Math.max(widest, window.size);
  }
  return { window, answered, answeredLately, timeouts, widest };
}

t.test(
  'a receiver that works on one request at a time does not get a queue that times out',
  async (t) => {
    for (const [perSecond, takesMs] of [
      [10, 100],
      [4, 250],
    ] as const) {
      const { window, answered, timeouts, widest } = simulate(
        { atOnce: 1, takesMs: [takesMs * 0.8, takesMs * 1.2] },
        600_000,
      );
      t.equal(timeouts, 0, `${perSecond} a second: nothing timed out`);
      t.ok(answered >= 600 * perSecond - 1, `it was never idle: ${answered} answers`);
      t.ok(widest <= 4 * FIRST_WINDOW, `at most ${widest} requests at once`);
      t.ok(window.size <= 4 * FIRST_WINDOW);
    }
  },
);

t.test('a receiver that can take everything gets everything, within seconds', async (t) => {
  const { answeredLately } = simulate({ atOnce: 10_000, takesMs: [180, 220, 200] }, 10_000);
  t.ok(answeredLately >= 5 * 5_000 * 0.9, `${answeredLately / 5} a second of 5,000`);
});

t.test('a receiver of fifty at once gets enough to be busy, and not much more', async (t) => {
  const { window, answeredLately } = simulate({ atOnce: 50, takesMs: [15, 20, 25] }, 10_000);
  t.ok(answeredLately >= 5 * 2_500 * 0.95, `${answeredLately / 5} a second of 2,500`);
  t.ok(window.size >= 50 && window.size <= 200, `${window.size} at once`);
});

t.test('a receiver with varying answer times is not taken for full', async (t) => {
  const takesMs = [...Array.from({ length: 19 }, () => 25), 1_000];
  const { answeredLately } = simulate({ atOnce: 10_000, takesMs }, 20_000);
  // A thousand requests that take 74 ms on average.
  t.ok(answeredLately >= (10 * 1_000 * 0.8) / 0.07375, `${answeredLately / 10} a second`);
});

t.test('a receiver that answers at once gets more, as long as it stays quick', async (t) => {
  // So it looks when it is this process that does no more than 16 a millisecond.
  const { window, timeouts } = simulate({ atOnce: 4, takesMs: [0.25] }, 10_000);
  t.ok(window.size >= 100 && window.size <= 300, `${window.size} at once`);
  t.equal(timeouts, 0);
  const { widest } = simulate({ atOnce: 4, takesMs: [0.025] }, 10_000);
  t.ok(widest <= 400, `at most ${widest}, however quick it is`);
  // And so when it does one thing after the other, each in 2 ms.
  t.ok(simulate({ atOnce: 1, takesMs: [2] }, 10_000).window.size <= 20);
});

t.test('a receiver that gets bursts does not get more for that', async (t) => {
  const { answeredLately, widest, window } = simulate(
    { atOnce: 20, takesMs: [18, 20, 22] },
    20_000,
    1_000,
    (now) => 60 * (1 + Math.floor(now / 100)),
  );
  t.ok(widest <= 40, `at most ${widest} at once`);
  t.ok(window.size <= 20, `${window.size} in the end`);
  t.ok(answeredLately >= 10 * 600 * 0.95, `${answeredLately / 10} a second of 600`);
});

t.test('a receiver that can take less than before soon gets less', async (t) => {
  const { window, answeredLately, timeouts } = simulate(
    { atOnce: (now) => (now < 10_000 ? 200 : 20), takesMs: [15, 20, 25] },
    60_000,
  );
  t.equal(timeouts, 0);
  t.ok(window.size <= 80, `${window.size} at once`);
  t.ok(answeredLately >= 30 * 1_000 * 0.95, `${answeredLately / 30} a second of 1,000`);
});

t.test('a receiver that can take more than before soon gets more', async (t) => {
  const window = createReceiverWindow();
  let now = 0;
  const answers = (count: number, perMs: number) => {
    for (let n = 0; n < count; n++) {
      now += 1 / perMs;
      countAnswer(window, true, window.round, window.size / perMs, now);
    }
  };
  answers(10_000, 1);
  const before = window.size;
  t.ok(before <= 40, `${before} at once while it gave 1,000 answers a second`);
  const until = now + 65_000;
  // From now on each request at once is worth an answer every 20 ms.
  while (now < until && window.size < 500) answers(1, window.size / 20);
  t.ok(window.size >= 500, `${window.size} at once, ${Math.round(until - now)} ms before the time`);
});

t.test(
  'requests that time out together halve the window once; it starts again with one',
  async (t) => {
    const window = createReceiverWindow();
    for (let n = 0; n < 10; n++) countTimeout(window, 1_000 + n);
    t.equal(window.size, FIRST_WINDOW / 2);
    restart(window);
    const sizes = [1, 2, 4, 8].map((count) => {
      const { size } = window;
      for (let n = 0; n < count; n++) countAnswer(window, true, window.round, 20, 2_000);
      return size;
    });
    t.strictSame(sizes, [1, 2, 4, 8]);
  },
);
