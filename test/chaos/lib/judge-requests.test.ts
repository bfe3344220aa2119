import t from 'tap';
import { judgeOrder, mostInWindow, unevenness } from './judge-requests.ts';
import type { RecordedRequest } from './recording-receiver.ts';

const request = (given: Partial<RecordedRequest>): RecordedRequest => {
  const arrivedAt = given.arrivedAt ?? 1_000_500;
  return {
    webhookId: `webhook ${given.n}`,
    path: '/order/1',
    from: 'a',
    timestamp: Math.floor(arrivedAt / 1_000),
    arrivedAt,
    answeredAt: arrivedAt + 10,
    status: 200,
    n: 1,
    key: null,
    ...given,
  };
};

t.test('webhooks that come one after the other are in order, and attempts may fail', async (t) => {
  const requests = [
    request({ n: 1, status: 500 }),
    request({ n: 1, arrivedAt: 1_000_600 }),
    request({ n: 2, arrivedAt: 1_000_700 }),
    // The answer was lost, so it comes again.
    request({ n: 2, arrivedAt: 1_000_800 }),
    request({ n: 1, key: 'other', arrivedAt: 1_000_900 }),
  ];
  t.strictSame(judgeOrder(requests, {}), { violations: [], late: 0 });
});

t.test('a webhook that comes before the one before it has ended is out of order', async (t) => {
  const failed = [request({ n: 1, status: 500 }), request({ n: 2, arrivedAt: 1_000_600 })];
  t.match(judgeOrder(failed, {}).violations, [/2 came before 1 had ended/]);
  const open = [request({ n: 1 }), request({ n: 2, arrivedAt: 1_000_505 })];
  t.match(judgeOrder(open, {}).violations, [/2 came before 1 had ended/]);
  const after = [
    request({ n: 1 }),
    request({ n: 2, arrivedAt: 1_000_600 }),
    request({ n: 1, arrivedAt: 1_000_700 }),
  ];
  t.match(judgeOrder(after, {}).violations, [/1 came after 2/]);
});

t.test(
  'a request that was long on its way is not judged, whatever clock its host has',
  async (t) => {
    const requests = [
      request({ n: 1 }),
      request({ n: 2, arrivedAt: 1_000_600 }),
      request({ n: 1, arrivedAt: 1_009_000, from: 'b', timestamp: 1_000 }),
    ];
    // It began at 1000 by the receiver's clock.
    const offsets = { b: 0 };
    t.strictSame(judgeOrder(requests, offsets), { violations: [], late: 1 });
    const ahead = requests.with(
      2,
      request({ n: 1, arrivedAt: 1_009_000, from: 'b', timestamp: 1_009 + 240 }),
    );
    t.match(judgeOrder(ahead, { b: 240 }).violations, [/1 came after 2/]);
  },
);

t.test('rates count requests by when they were begun, for each path', async (t) => {
  const requests = Array.from({ length: 60 }, (_, i) =>
    request({ n: i, arrivedAt: 1_000_000 + 100 * i, path: i % 2 === 0 ? '/rate/1' : '/rate/2' }),
  );
  t.strictSame(mostInWindow(requests, {}), { requests: 25, seconds: 5 });
});

t.test('unevenness is the largest distance from an even share', async (t) => {
  t.equal(unevenness([100, 100, 100]), 0);
  t.equal(Math.round(100 * unevenness([130, 100, 70])), 30);
});
