import { fork } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import t from 'tap';
import {
  AT_MOST,
  attempt,
  createClient,
  end,
  LONG_MS,
  OK,
  on,
  say,
  startHostile,
} from '../helpers/hostile.ts';

const AT_ONCE = 200;
const lines = (count: number) => 'a: b\r\n'.repeat(count);
const BODY = 'content-length: 2\r\n\r\nok';
const INTERIM = 'HTTP/1.1 103 Early Hints\r\n';

t.test('the head of an answer may have 256 KiB', AT_MOST, async (t) => {
  const cases: [what: string, answer: string, errorCode: string | null][] = [
    ['5,000 headers', `${OK}${lines(5_000)}${BODY}`, null],
    ['40,000 headers', `${OK}${lines(40_000)}${BODY}`, null],
    ['50,000 headers', `${OK}${lines(50_000)}${BODY}`, 'too_large'],
    ['a header of 250 KiB', `${OK}a: ${'b'.repeat(250 * 1024)}\r\n${BODY}`, null],
    ['a header of 257 KiB', `${OK}a: ${'b'.repeat(257 * 1024)}\r\n${BODY}`, 'too_large'],
    ['many interim answers', `${`${INTERIM}${lines(20)}\r\n`.repeat(1_000)}${OK}${BODY}`, null],
    [
      '50,000 headers behind an interim answer',
      `${INTERIM}\r\n${OK}${lines(50_000)}${BODY}`,
      'too_large',
    ],
    [
      'an interim answer of 50,000 headers',
      `${INTERIM}${lines(50_000)}\r\n${OK}${BODY}`,
      'too_large',
    ],
    [
      'interim answers of 300 KB',
      `${`${INTERIM}${lines(20)}\r\n`.repeat(2_000)}${OK}${BODY}`,
      'protocol',
    ],
    ['a body of 600 lines', `${OK}content-length: 2400\r\n\r\n${'ab\r\n'.repeat(600)}`, null],
    ['a body that looks like the end of a head', `${OK}content-length: 4\r\n\r\n\r\n\r\n`, null],
  ];
  for (const [what, answer, errorCode] of cases) {
    for (const [how, attack] of [
      ['at once', say(answer)],
      // So that the end of the head comes in two parts, wherever it is.
      [
        'in parts',
        on((socket) => {
          let at = 0;
          const more = () => {
            if (socket.destroyed || at >= answer.length) return;
            socket.write(answer.slice(at, at + 9_973), () => setImmediate(more));
            at += 9_973;
          };
          more();
        }),
      ],
    ] as const) {
      const receiver = await startHostile(t, attack);
      const { verdict } = await attempt(createClient(t, LONG_MS), `http://${receiver.authority}/`);
      t.equal(verdict.errorCode, errorCode, `${what}, ${how}`);
    }
  }
});

t.test('a head that comes byte by byte is read', AT_MOST, async (t) => {
  const answer = `${INTERIM}\r\n${OK}a: b\r\n${BODY}`;
  const receiver = await startHostile(t, (socket) => {
    socket.on('data', () => {
      let at = 0;
      const more = () => {
        if (socket.destroyed || at >= answer.length) return;
        socket.write(answer[at] as string, () => setImmediate(more));
        at += 1;
      };
      more();
    });
  });
  const client = createClient(t, LONG_MS);
  for (let n = 0; n < 2; n++) {
    const { answer: heard } = await attempt(client, `http://${receiver.authority}/`);
    t.match(heard, { statusCode: 200, excerpt: 'ok' });
  }
});

t.test('thousands of headers do not block the process', AT_MOST, async (t) => {
  // In a process of its own, whose work is not measured.
  const receivers = fork(join(import.meta.dirname, '..', 'helpers', 'hostile-process.ts'), {
    execArgv: [],
  });
  t.teardown(async () => {
    receivers.kill('SIGKILL');
    await once(receivers, 'exit');
  });
  const [ports] = (await once(receivers, 'message')) as [[name: string, port: number][]];
  const port = new Map(ports).get('sends 5,000 headers');
  const good = await startHostile(t, end(`${OK}${BODY}`));
  const client = createClient(t, LONG_MS);
  await attempt(client, `http://127.0.0.1:${port}/`);
  const before = process.cpuUsage();
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  const outcomes = await Promise.all(
    Array.from({ length: AT_ONCE }, () => attempt(client, `http://127.0.0.1:${port}/`)),
  );
  delay.disable();
  const { user, system } = process.cpuUsage(before);
  t.ok(outcomes.every(({ verdict }) => verdict.status === 'success'));
  t.comment(`longest delay ${Math.round(delay.max / 1e6)} ms`);
  // It was 27 ms for each when the parser was left to notice.
  t.ok((user + system) / 1000 / AT_ONCE < 8, `${(user + system) / 1000 / AT_ONCE} ms of CPU each`);
  t.match(await attempt(client, `http://${good.authority}/`), { verdict: { status: 'success' } });
});
