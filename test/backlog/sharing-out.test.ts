import fc from 'fast-check';
import t from 'tap';
import { excessOf } from '../../src/backlog/excess.ts';
import { connect, createTestDatabase } from '../helpers/database.ts';
import { createOrderJudge } from '../helpers/order.ts';
import { startReceiver } from '../helpers/receiver.ts';
import { startTestService } from '../helpers/service.ts';
import { until } from '../helpers/until.ts';

t.test('workers that leave their excess come to equal shares, and then leave nothing', async () => {
  fc.assert(
    fc.property(fc.array(fc.nat(300), { minLength: 1, maxLength: 12 }), (owned) => {
      const all = owned.reduce((sum, count) => sum + count, 0);
      const share = Math.ceil(all / owned.length);
      const excessAt = (i: number) =>
        excessOf({ mine: owned[i] as number, all, workers: owned.length });
      for (let rounds = 0; rounds < 100; rounds++) {
        for (let i = 0; i < owned.length; i++) {
          const excess = excessAt(i);
          // The one that has the fewest takes them.
          const least = owned.indexOf(Math.min(...owned));
          owned[i] = (owned[i] as number) - excess;
          owned[least] = (owned[least] as number) + excess;
        }
      }
      return owned.every((count, i) => excessAt(i) === 0 && count <= Math.max(share, share * 1.1));
    }),
  );
});

t.test('a worker that starts gets its share of the backlogs, and their order holds', async (t) => {
  const databaseUrl = await createTestDatabase(t);
  const judges = new Map<string, ReturnType<typeof createOrderJudge>>();
  const receiver = await startReceiver(t, (response, request) => {
    const judge = judges.get(request.path) ?? createOrderJudge(3, () => 1);
    judges.set(request.path, judge);
    judge.answer(response, request);
  });
  const first = await startTestService(t, { DATABASE_URL: databaseUrl });
  const ids: number[] = [];
  for (let s = 0; s < 4; s++) {
    const { json } = await first.request('POST', '/v1/subscriptions', {
      url: `${receiver.url}/${s}`,
      event_types: [],
      ordering: 'strict',
    });
    ids.push(json.id);
  }
  let n = 0;
  const send = async () => {
    n += 1;
    for (const id of ids) await first.ingest(id, { n, key: null, failures: 0 });
  };
  await send();
  const looking = await connect(t, databaseUrl);
  const shares = async () => {
    const { rows } = await looking.query<{ owned: number }>(
      `select count(*)::integer as owned from posthorn.backlogs where owner is not null group by owner`,
    );
    return rows.map(({ owned }) => owned);
  };
  await until('it owns all', async () => (await shares()).join() === '4');
  const second = await startTestService(t, { DATABASE_URL: databaseUrl, POSTHORN_ROLE: 'worker' });
  await until('each owns two', async () => {
    await send();
    return (await shares()).join() === '2,2';
  });
  for (let more = 0; more < 5; more++) await send();
  await until('all have succeeded', async () => {
    return (await first.request('GET', '/v1/stats')).json.succeeded === 4 * n;
  });
  t.strictSame(
    [...judges.values()].flatMap(({ violations }) => violations),
    [],
  );
  await second.service.stop();
});
