import type { LookupAddress, LookupOptions } from 'node:dns';
import { isIPv4 } from 'node:net';
import fc from 'fast-check';
import t from 'tap';
import { BlockedAddressError } from '../../src/http/address-guard.ts';
import { createGuardedLookup, createResolvedJudge } from '../../src/http/connector.ts';
import type { Resolve } from '../../src/http/lookups.ts';
import { anyNumber, isDenied, networks, toAddress } from '../helpers/addresses.ts';
import { reachOf } from '../helpers/hostile.ts';

const none = reachOf('');

interface Looked {
  readonly error: NodeJS.ErrnoException | null;
  readonly address: string | LookupAddress[] | undefined;
  readonly family: number | undefined;
}

/** Looks `a.example` up through the guard, where DNS answers with these addresses. */
function lookUp(
  answer: string[] | Error,
  options: LookupOptions = {},
  allowed = none,
): Looked & { readonly asked: LookupOptions[] } {
  const asked: LookupOptions[] = [];
  const resolve: Resolve = (_hostname, askedOptions, callback) => {
    asked.push(askedOptions);
    if (answer instanceof Error) callback(answer, []);
    else
      callback(
        null,
        answer.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 })),
      );
  };
  const lookup = createGuardedLookup(createResolvedJudge(allowed), resolve);
  const answers: Looked[] = [];
  lookup('a.example', options, (error, address, family) => {
    answers.push({ error, address, family });
  });
  if (answers.length !== 1) throw new Error(`called back ${answers.length} times`);
  return { ...(answers[0] as Looked), asked };
}

t.test('a lookup returns exactly the addresses that were checked', async (t) => {
  const addresses = ['8.8.8.8', '2606:4700::1111'];
  const all = lookUp(addresses, { all: true, hints: 32 });
  t.match(all, {
    error: null,
    address: [
      { address: '8.8.8.8', family: 4 },
      { address: '2606:4700::1111', family: 6 },
    ],
  });
  t.strictSame(all.asked, [{ all: true, hints: 32 }], 'one question, for all addresses');
  const one = lookUp(addresses, { family: 4 });
  t.match(one, { error: null, address: '8.8.8.8', family: 4 });
  t.strictSame(one.asked, [{ all: true, family: 4 }]);
});

const addressOf = (bits: 32 | 128) => anyNumber(bits).map((number) => ({ number, bits }));
const anyAddress = fc.oneof(addressOf(32), addressOf(128));

t.test('a name with a denied address among its addresses is refused', async () => {
  fc.assert(
    fc.property(
      fc.array(anyAddress, { minLength: 1, maxLength: 6 }),
      fc.boolean(),
      (addresses, all) => {
        const texts = addresses.map(({ number, bits }) => toAddress(number, bits));
        const { error, address } = lookUp(texts, { all });
        return addresses.some(({ number, bits }) => isDenied(number, bits))
          ? error instanceof BlockedAddressError && address === undefined
          : error === null && address !== undefined;
      },
    ),
    { numRuns: 2_000 },
  );
});

t.test('an error about a name does not show its address', async (t) => {
  const { error } = lookUp(['8.8.8.8', '10.1.2.3'], { all: true });
  t.equal(
    error?.message,
    'a.example resolves to a private address, which deliveries may not reach',
  );
  for (const { last, bits } of networks) {
    const address = toAddress(last, bits);
    const { error } = lookUp([address]);
    t.type(error, BlockedAddressError);
    t.notOk(JSON.stringify([error?.message, error]).includes(address), address);
  }
});

t.test('a name with an address that the operator allowed is accepted', async (t) => {
  const opened = reachOf('10.0.0.0/8');
  t.match(lookUp(['10.1.2.3'], {}, opened), { error: null, address: '10.1.2.3', family: 4 });
  const { error } = lookUp(['10.1.2.3', '127.0.0.1'], {}, opened);
  t.equal(
    error?.message,
    'a.example resolves to a loopback address, which deliveries may not reach',
  );
});

t.test('a name that does not resolve keeps the error of DNS', async (t) => {
  const reason = Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' });
  t.equal(lookUp(reason).error, reason);
  for (const all of [true, false])
    t.match(lookUp([], { all }), { error: { code: 'ENOTFOUND' }, address: undefined });
});
