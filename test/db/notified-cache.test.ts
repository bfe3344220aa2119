import t from 'tap';
import { createNotifiedCache } from '../../src/db/notified-cache.ts';
import type { Session } from '../../src/db/session.ts';
import { anyLoop } from '../helpers/loops.ts';
import { TOLD_MS, until } from '../helpers/until.ts';

/** A cache over a table in memory, and hands on the session that it listens to. */
function start({ rememberAbsent = true } = {}) {
  const table = new Map<string, number>();
  const asked: string[][] = [];
  const session = {
    connected: true,
    notify: (_name: string) => {},
    lose: () => {},
    listen: (_channel: string, heard: (name: string) => void) => {
      session.notify = heard;
    },
    onLost: (lost: () => void) => {
      session.lose = lost;
    },
  };
  let answer: () => Promise<void> = async () => {};
  const cache = createNotifiedCache<number>({
    loop: anyLoop,
    session: session as unknown as Session,
    channel: 'changes',
    rememberAbsent,
    async load(names) {
      asked.push(names);
      const found = new Map([...table].filter(([name]) => names.includes(name)));
      await answer();
      return found;
    },
  });
  return {
    table,
    asked,
    session,
    cache,
    /** Lets answers wait for this. */
    answerAfter: (wait: () => Promise<void>) => {
      answer = wait;
    },
  };
}

t.test('a name is loaded once, until it changes', async (t) => {
  const { table, asked, cache, session } = start();
  table.set('a', 1);
  t.equal(cache.peek('a'), undefined);
  t.equal(await cache.get('a'), 1);
  t.equal(cache.peek('a'), 1);
  t.equal(await cache.get('a'), 1);
  t.equal(asked.length, 1);
  table.set('a', 2);
  session.notify('a');
  t.equal(await cache.get('a'), 2);
  cache.forget('a');
  t.equal(cache.peek('a'), undefined);
});

t.test('concurrent callers share a load', async (t) => {
  const { table, asked, cache } = start();
  table.set('a', 1);
  t.strictSame(await Promise.all(['a', 'b', 'a'].map((name) => cache.get(name))), [1, null, 1]);
  t.strictSame(asked, [['a', 'b']]);
});

t.test('a value that was being loaded during a change is not cached', async (t) => {
  const { table, cache, session, answerAfter } = start();
  table.set('a', 1);
  answerAfter(async () => {
    table.set('a', 2);
    session.notify('a');
  });
  t.equal(await cache.get('a'), 1, 'it was right when it was asked for');
  t.equal(cache.peek('a'), undefined);
  answerAfter(async () => {});
  t.equal(await cache.get('a'), 2);
});

t.test('absence can be cached, until the name exists', async (t) => {
  const keys = start();
  t.equal(await keys.cache.get('a'), null);
  t.equal(keys.cache.peek('a'), null);
  keys.table.set('a', 1);
  keys.session.notify('a');
  t.equal(await keys.cache.get('a'), 1);
  const tenants = start({ rememberAbsent: false });
  t.equal(await tenants.cache.get('a'), null);
  tenants.table.set('a', 1);
  t.equal(await tenants.cache.get('a'), 1, 'without word of it');
});

t.test('guesses do not displace known names', async (t) => {
  const { table, cache } = start();
  table.set('a', 1);
  await cache.get('a');
  for (let batch = 0; batch < 60; batch++)
    await Promise.all(Array.from({ length: 1000 }, (_, n) => cache.get(`guess ${batch} ${n}`)));
  t.equal(cache.peek('a'), 1);
  t.equal(cache.peek('guess 0 0'), undefined, 'they push out each other');
  t.equal(cache.peek('guess 59 999'), null);
});

t.test('without notifications, a value is cached for less than a second', async (t) => {
  const { table, cache, session } = start();
  table.set('a', 1);
  await cache.get('a');
  session.connected = false;
  session.lose();
  t.equal(cache.peek('a'), undefined, 'what was known before is forgotten');
  await cache.get('a');
  const startedAt = Date.now();
  table.set('a', 2);
  await until('the change is seen', async () => (await cache.get('a')) === 2);
  t.ok(Date.now() - startedAt < TOLD_MS);
});
