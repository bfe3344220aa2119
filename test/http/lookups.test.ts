import type { LookupAddress } from 'node:dns';
import { setImmediate } from 'node:timers/promises';
import t from 'tap';
import { type Resolve, type ResolveFor, shareLookups, takeTurns } from '../../src/http/lookups.ts';

t.test(
  "an owner's requests for a name share a look-up that is under way, and no other",
  async (t) => {
    const asked: string[] = [];
    const answers: ((error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void)[] =
      [];
    const resolve: ResolveFor = (_owner, hostname, _options, callback) => {
      asked.push(hostname);
      answers.push(callback);
    };
    const shared = shareLookups(resolve);
    const got: unknown[] = [];
    const ask = (hostname: string, family = 0, owner = 'a') =>
      shared(owner, hostname, { all: true, family }, (error, addresses) =>
        got.push(error ?? addresses),
      );

    for (let n = 0; n < 5; n++) ask('silent.example');
    ask('other.example');
    ask('silent.example', 6);
    t.strictSame(asked, ['silent.example', 'other.example', 'silent.example']);
    const addresses = [{ address: '192.0.2.1', family: 4 }];
    answers[0]?.(null, addresses);
    t.strictSame(got, Array(5).fill(addresses));
    const failure = Object.assign(new Error('no such host'), { code: 'ENOTFOUND' });
    answers[1]?.(failure, []);
    t.equal(got.at(-1), failure);
    ask('silent.example');
    t.equal(asked.length, 4, 'an answer is not kept');
    ask('silent.example', 0, 'b');
    t.equal(asked.length, 5, "another owner's may wait for its turn");
  },
);

t.test("an owner's names that are never resolved leave look-ups to others", async (t) => {
  const asked: string[] = [];
  const answers: (() => void)[] = [];
  const resolve: Resolve = (hostname, _options, callback) => {
    asked.push(hostname);
    answers.push(() => callback(null, []));
  };
  const byTurns = takeTurns(resolve, 10);
  const ask = (owner: string, hostname: string) =>
    byTurns(owner, hostname, { all: true }, () => {});

  for (let n = 0; n < 100; n++) ask('greedy', `silent${n}.example`);
  ask('modest', 'a.example');
  await setImmediate();
  t.equal(asked.length, 9);
  t.equal(asked.at(-1), 'a.example');
  for (let n = 0; n < answers.length; n++) {
    answers[n]?.();
    await setImmediate();
  }
  t.equal(asked.length, 101, 'all have their turn when others end');
});
