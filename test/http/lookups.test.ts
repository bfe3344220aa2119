import type { LookupAddress } from 'node:dns';
import t from 'tap';
import { type Resolve, shareLookups } from '../../src/http/lookups.ts';

t.test('requests for a name share a look-up that is under way, and no other', async (t) => {
  const asked: string[] = [];
  const answers: ((error: NodeJS.ErrnoException | null, addresses: LookupAddress[]) => void)[] = [];
  const resolve: Resolve = (hostname, _options, callback) => {
    asked.push(hostname);
    answers.push(callback);
  };
  const shared = shareLookups(resolve);
  const got: unknown[] = [];
  const ask = (hostname: string, family = 0) =>
    shared(hostname, { all: true, family }, (error, addresses) => got.push(error ?? addresses));

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
});
