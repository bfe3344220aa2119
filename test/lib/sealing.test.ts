import { randomBytes, webcrypto } from 'node:crypto';
import { inspect } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import { createSealer, isSealed, parseSealingKeys, SealError } from '../../src/lib/sealing.ts';

const FIRST = randomBytes(32);
const SECOND = randomBytes(32);
const sealerOf = (...keys: Buffer[]) =>
  createSealer(parseSealingKeys(keys.map((key) => key.toString('base64')).join(',')));

const text = fc.string({ unit: 'binary', maxLength: 300 });
const place = fc.string({ maxLength: 40 });

/** What was stored, opened by WebCrypto from the form that the source describes, by nothing of ours. */
async function openElsewhere(stored: string, key: Buffer, place: string): Promise<string> {
  const [, , , encoded = ''] = stored.split(':');
  const bytes = new Uint8Array(Buffer.from(encoded, 'base64url'));
  const imported = await webcrypto.subtle.importKey('raw', new Uint8Array(key), 'AES-GCM', false, [
    'decrypt',
  ]);
  const opened = await webcrypto.subtle.decrypt(
    {
      name: 'AES-GCM',
      iv: bytes.subarray(0, 12),
      additionalData: new TextEncoder().encode(place),
      tagLength: 128,
    },
    imported,
    bytes.subarray(12),
  );
  return Buffer.from(opened).toString('utf8');
}

t.test('a sealed text opens to the same text, here and by any AES-256-GCM', async () => {
  const sealer = sealerOf(FIRST);
  await fc.assert(
    fc.asyncProperty(text, place, async (text, place) => {
      const stored = sealer.seal(text, place);
      return (
        /^sealed:v1:[0-9a-f]{8}:[A-Za-z0-9_-]+$/.test(stored) &&
        sealer.open(stored, place) === text &&
        (await openElsewhere(stored, FIRST, place)) === text
      );
    }),
  );
});

t.test('sealing the same text twice gives different results', async (t) => {
  const sealer = sealerOf(FIRST);
  const stored = new Set(Array.from({ length: 1000 }, () => sealer.seal('the same', 'place')));
  t.equal(stored.size, 1000);
});

t.test(
  'a sealed text opens only at its place and with its key, and not if one bit is changed',
  async () => {
    const sealer = sealerOf(FIRST);
    const refuses = (open: () => string) => {
      try {
        open();
        return false;
      } catch (error) {
        return error instanceof SealError;
      }
    };
    fc.assert(
      fc.property(text, place, place, fc.nat(), (text, place, other, bit) => {
        fc.pre(place !== other);
        const stored = sealer.seal(text, place);
        const [head = '', encoded = ''] = [stored.slice(0, 19), stored.slice(19)];
        const bytes = Buffer.from(encoded, 'base64url');
        const at = bit % (bytes.length * 8);
        bytes[at >> 3] = (bytes[at >> 3] as number) ^ (1 << (at & 7));
        return (
          refuses(() => sealer.open(stored, other)) &&
          refuses(() => sealerOf(SECOND).open(stored, place)) &&
          refuses(() => sealer.open(head + bytes.toString('base64url'), place)) &&
          refuses(() => sealer.open(stored.slice(0, 40), place))
        );
      }),
    );
  },
);

t.test('the first key seals, and all of them open', async (t) => {
  const before = sealerOf(FIRST);
  const between = sealerOf(SECOND, FIRST);
  const after = sealerOf(SECOND);
  const old = before.seal('secret', 'place');
  t.equal(between.open(old, 'place'), 'secret');
  t.notOk(between.isCurrent(old));
  const renewed = between.seal('secret', 'place');
  t.ok(between.isCurrent(renewed));
  t.equal(after.open(renewed, 'place'), 'secret');
  const [, , id] = old.split(':');
  t.throws(() => after.open(old, 'place'), { message: new RegExp(`with the key ${id}`) });
});

t.test(
  'without a key texts stay as they are, and plain ones are read with a key too',
  async (t) => {
    const plain = createSealer([]);
    t.equal(plain.seals, false);
    t.equal(plain.seal('secret', 'place'), 'secret');
    t.ok(plain.isCurrent('secret'));
    const sealer = sealerOf(FIRST);
    t.equal(sealer.open('secret', 'place'), 'secret');
    t.notOk(sealer.isCurrent('secret'));
    const stored = sealer.seal('secret', 'place');
    t.ok(isSealed(stored));
    t.throws(() => plain.open(stored, 'place'), SealError);
    t.throws(() => plain.open('sealed:v2:what may come', 'place'), { message: /damaged/ });
  },
);

t.test('keys are read in base64 and hex, and never shown', async (t) => {
  const key = FIRST;
  const forms = [
    key.toString('base64'),
    key.toString('base64').replace('=', ''),
    key.toString('base64url'),
    key.toString('hex'),
    ` ${key.toString('hex').toUpperCase()}\n`,
  ];
  const ids = forms.map((form) => parseSealingKeys(form)[0]?.id);
  t.equal(new Set(ids).size, 1);
  t.equal(parseSealingKeys(`${forms[0]}, ${SECOND.toString('hex')}`).length, 2);
  t.notMatch(
    inspect(parseSealingKeys(forms[0] as string), { depth: 9, showHidden: true }),
    forms[0],
  );
  const canary = 'canary'.repeat(5);
  for (const [bad, why] of [
    [canary, /key 1 is not 32 bytes .*openssl rand -base64 32/],
    [`${forms[0]},${canary}`, /key 2 is not 32 bytes/],
    [`${forms[0]},`, /key 2 is not/],
    [randomBytes(31).toString('base64'), /key 1/],
    [randomBytes(33).toString('hex'), /key 1/],
    [`${forms[0]},${forms[3]}`, /same key .* twice/],
  ] as [string, RegExp][]) {
    t.throws(() => parseSealingKeys(bad), { message: why });
    try {
      parseSealingKeys(bad);
    } catch (error) {
      t.notMatch((error as Error).message, bad);
      t.notMatch((error as Error).message, canary);
    }
  }
});
